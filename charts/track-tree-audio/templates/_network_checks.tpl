{{- /* Refuse a network that the API server or the programs would refuse, although it looks like one;
       call with name and network. An address has groups of 8 or 16 bits; those, or the parts of
       them, that lie behind the prefix must be 0. */}}
{{- define "track-tree-audio.checkNetwork" -}}
{{- $address := first (splitList "/" .network) }}
{{- $length := atoi (last (splitList "/" .network)) }}
{{- $width := ternary 16 8 (contains ":" $address) }}
{{- $groups := splitList "," (include "track-tree-audio.addressGroups" $address) }}
{{- if and (eq $width 16) (eq (join "," (slice $groups 0 6)) "0,0,0,0,0,65535") }}
{{- fail (printf "\n\n%s has %s, an IPv4 network written as IPv6: write it as IPv4, such as 10.0.0.0/8.\n" .name .network) }}
{{- end }}
{{- $powers := list 1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32768 65536 }}
{{- range $index, $group := $groups }}
{{- $free := min $width (max 0 (sub (mul (add1 $index) $width) $length)) }}
{{- if ne (mod (int64 $group) (index $powers $free)) 0 }}
{{- fail (printf "\n\n%s has %s, an address inside of a network: write where the network begins, such as 10.0.0.0/8, or the address alone with /%d.\n" $.name $.network (ternary 128 32 (eq $width 16))) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The four or eight numbers of an address, with commas between them. */}}
{{- define "track-tree-audio.addressGroups" -}}
{{- if contains ":" . }}
{{- $halves := splitList "::" . }}
{{- $left := compact (splitList ":" (first $halves)) }}
{{- $right := ternary (compact (splitList ":" (last $halves))) list (gt (len $halves) 1) }}
{{- $groups := $left }}
{{- range until (int (sub 8 (add (len $left) (len $right)))) }}
{{- $groups = append $groups "0" }}
{{- end }}
{{- $numbers := list }}
{{- range concat $groups $right }}
{{- $numbers = append $numbers (int64 (printf "0x%s" .)) }}
{{- end }}
{{- join "," $numbers }}
{{- else }}
{{- splitList "." . | join "," }}
{{- end }}
{{- end }}

{{- define "track-tree-audio.checkPeers" -}}
{{- range .peers }}
{{- with get . "ipBlock" }}
{{- range concat (list .cidr) (get . "except" | default list) }}
{{- include "track-tree-audio.checkNetwork" (dict "name" $.name "network" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "track-tree-audio.checkNetworks" -}}
{{- $policy := .Values.networkPolicy }}
{{- range $name, $networks := dict "source.allowedNetworks" .Values.source.allowedNetworks "networkPolicy.apiServer.cidrs" $policy.apiServer.cidrs "networkPolicy.worker.exceptIPv4" $policy.worker.exceptIPv4 "networkPolicy.worker.exceptIPv6" $policy.worker.exceptIPv6 }}
{{- range $networks }}
{{- include "track-tree-audio.checkNetwork" (dict "name" $name "network" .) }}
{{- end }}
{{- end }}
{{- range $name, $peers := dict "networkPolicy.dns" $policy.dns "networkPolicy.proxy.to" $policy.proxy.to "networkPolicy.tracing.to" $policy.tracing.to "networkPolicy.api.from" $policy.api.from "networkPolicy.operator.from" $policy.operator.from }}
{{- include "track-tree-audio.checkPeers" (dict "name" $name "peers" $peers) }}
{{- end }}
{{- range $component := list "api" "operator" "worker" }}
{{- range (index $policy $component).extraEgress }}
{{- include "track-tree-audio.checkPeers" (dict "name" (printf "networkPolicy.%s.extraEgress" $component) "peers" .to) }}
{{- end }}
{{- end }}
{{- end }}
