{{- /* What NetworkPolicies let out, for each kind of pod. */}}

{{- /* What workers may reach: for the chart's own policy, and for the one that the operator gives each
       Job, which is there as long as the Job is, with or without the chart. */}}
{{- define "track-tree-audio.workerPolicy" -}}
policyTypes: [Ingress, Egress]
egress:
  {{- include "track-tree-audio.dnsEgress" . | nindent 2 }}
  - to:
      - ipBlock:
          cidr: 0.0.0.0/0
          except:
            {{- toYaml .Values.networkPolicy.worker.exceptIPv4 | nindent 12 }}
      - ipBlock:
          cidr: ::/0
          except:
            {{- toYaml .Values.networkPolicy.worker.exceptIPv6 | nindent 12 }}
  {{- include "track-tree-audio.podIdentityEgress" . | nindent 2 }}
  {{- include "track-tree-audio.proxyEgress" . | nindent 2 }}
  {{- include "track-tree-audio.tracingEgress" . | nindent 2 }}
  {{- with .Values.networkPolicy.worker.extraEgress }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* The agent of EKS Pod Identity on the node, whose network is closed otherwise. */}}
{{- define "track-tree-audio.podIdentityEgress" -}}
{{- if .Values.storage.podIdentity }}
- ports:
    - port: 80
      protocol: TCP
  to:
    - ipBlock:
        cidr: 169.254.170.23/32
    - ipBlock:
        cidr: fd00:ec2::23/128
{{- end }}
{{- end }}

{{- /* The proxy, which may be at a private address: as it is told, and as its URLs say. */}}
{{- define "track-tree-audio.proxyEgress" -}}
{{- include "track-tree-audio.egressTo" (dict "told" .Values.networkPolicy.proxy "urls" (list .Values.proxy.httpProxy .Values.proxy.httpsProxy)) }}
{{- end }}

{{- /* The collector of traces, likewise. */}}
{{- define "track-tree-audio.tracingEgress" -}}
{{- include "track-tree-audio.egressTo" (dict "told" .Values.networkPolicy.tracing "urls" (list .Values.tracing.endpoint)) }}
{{- end }}

{{- /* Call with told, peers and ports, and with urls, of which those with an address are opened. */}}
{{- define "track-tree-audio.egressTo" -}}
{{- with .told }}
{{- if .to }}
- to:
    {{- toYaml .to | nindent 4 }}
  {{- if .ports }}
  ports:
    {{- range .ports }}
    - port: {{ int64 . }}
      protocol: TCP
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}
{{- range uniq (compact .urls) }}
{{- $url := urlParse . }}
{{- $version := ternary 6 4 (contains ":" $url.hostname) }}
{{- if or (eq $version 6) (regexMatch "^[0-9.]+$" $url.hostname) }}
{{- $port := trimPrefix ":" (regexFind ":[0-9]+$" $url.host) }}
- ports:
    - port: {{ default (ternary 443 80 (eq $url.scheme "https")) (int $port) }}
      protocol: TCP
  to:
    - ipBlock:
        cidr: {{ printf "%s/%d" $url.hostname (ternary 128 32 (eq $version 6)) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* All that is outside of the cluster: webhooks, and the bucket. */}}
{{- define "track-tree-audio.worldEgress" -}}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except:
          {{- toYaml .Values.networkPolicy.worker.exceptIPv4 | nindent 10 }}
    - ipBlock:
        cidr: ::/0
        except:
          {{- toYaml .Values.networkPolicy.worker.exceptIPv6 | nindent 10 }}
{{- end }}

{{- define "track-tree-audio.dnsEgress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
  to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
{{- end }}

{{- /* Policies see the API server's own address, not that of its Service. */}}
{{- define "track-tree-audio.apiServerEgress" -}}
- ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .Values.networkPolicy.apiServer.cidrs }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  {{- end }}
{{- end }}
