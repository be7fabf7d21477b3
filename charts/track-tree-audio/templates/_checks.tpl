{{- /* What the schema cannot say of the values: each refuses in words, and renders nothing. */}}

{{- define "track-tree-audio.checkNames" -}}
{{- range $component := list "api" "operator" "worker" }}
{{- $account := (index $.Values $component).serviceAccount }}
{{- if and (not $account.create) (not $account.name) }}
{{- fail (printf "\n\n%[1]s.serviceAccount.create is false and %[1]s.serviceAccount.name is blank, so its pods would ask for an account that nobody makes. Set the name of the account that is there (default, for the namespace's own).\n" $component) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "track-tree-audio.checkSizes" -}}
{{- $worker := .Values.worker }}
{{- range $key := list "memory" "memoryRetry" "scratchSize" "ephemeralStorage" }}
{{- include "track-tree-audio.checkQuantity" (dict "name" (printf "worker.%s" $key) "value" (get $worker $key | default "") "least" 1048576 "most" 1125899906842624 "range" "1Mi and 1Pi: write the unit, as in 6Gi (m means thousandths of a byte).") }}
{{- end }}
{{- range $key := list "cpu" "cpuLimit" }}
{{- include "track-tree-audio.checkQuantity" (dict "name" (printf "worker.%s" $key) "value" (get $worker $key | default "") "least" 0.001 "most" 1024 "range" "1m and 1024 cores: write 2, 1.5 or 500m (thousandths).") }}
{{- end }}
{{- include "track-tree-audio.checkAtMost" (dict "name" "worker.memory" "value" $worker.memory "above" "worker.memoryRetry" "limit" $worker.memoryRetry "why" "that is the memory of the attempt after one that ran out of it. Set worker.memoryRetry to more.") }}
{{- include "track-tree-audio.checkAtMost" (dict "name" "worker.cpu" "value" $worker.cpu "above" "worker.cpuLimit" "limit" (get $worker "cpuLimit" | default "") "why" "no pod may ask for more than its limit. Raise the limit, or leave it blank.") }}
{{- include "track-tree-audio.checkAtMost" (dict "name" "worker.scratchSize" "value" $worker.scratchSize "above" "worker.ephemeralStorage" "limit" (get $worker "ephemeralStorage" | default "") "why" "the scratch disk counts as ephemeral storage, so the pod would be evicted before it is full. Raise worker.ephemeralStorage, or leave it blank.") }}
{{- range $name, $resources := dict "api" .Values.api.resources "operator" .Values.operator.resources "tests" (get .Values.tests "resources" | default dict) }}
{{- range $part, $quantities := $resources }}
{{- range $resource, $value := $quantities }}
{{- $path := printf "%s.resources.%s.%s" $name $part $resource }}
{{- if eq $resource "cpu" }}
{{- include "track-tree-audio.checkQuantity" (dict "name" $path "value" $value "least" 0.001 "most" 1024 "range" "1m and 1024 cores: write 2, 1.5 or 500m (thousandths).") }}
{{- else if has $resource (list "memory" "ephemeral-storage") }}
{{- include "track-tree-audio.checkQuantity" (dict "name" $path "value" $value "least" 1048576 "most" 1125899906842624 "range" "1Mi and 1Pi: write the unit, as in 512Mi (m means thousandths of a byte).") }}
{{- end }}
{{- end }}
{{- end }}
{{- range $resource, $request := get $resources "requests" | default dict }}
{{- include "track-tree-audio.checkAtMost" (dict "name" (printf "%s.resources.requests.%s" $name $resource) "value" $request "above" "its limit" "limit" (get (get $resources "limits" | default dict) $resource | default "") "why" "no pod may ask for more than its limit. Raise the limit, or ask for less.") }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Never through the schema: helm would print what does not match. */}}
{{- define "track-tree-audio.checkSecrets" -}}
{{- $secrets := .Values.secrets }}
{{- range $key := list "token" "s3AccessKeyId" "s3SecretAccessKey" "apiS3AccessKeyId" "apiS3SecretAccessKey" }}
{{- if regexMatch "^\\s|\\s$" (get $secrets $key) }}
{{- fail (printf "\n\nsecrets.%s begins or ends with a blank or a newline, which others who have the same key do not. Remove it (printf %%s, or --set-string instead of --set-file).\n" $key) }}
{{- end }}
{{- end }}
{{- range $key := list "s3AccessKeyId" "s3SecretAccessKey" "apiS3AccessKeyId" "apiS3SecretAccessKey" }}
{{- if regexMatch "[^!-~]" (get $secrets $key) }}
{{- fail (printf "\n\nsecrets.%s holds a blank, a newline or a letter that no key has: copy it anew.\n" $key) }}
{{- end }}
{{- end }}
{{- range splitList "," $secrets.token }}
{{- if and (hasPrefix "whsec_" (trim .)) (not (regexMatch "^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$" (trim .))) }}
{{- fail "\n\nsecrets.token has a token that begins with whsec_, but does not go on with base64, so nothing would start. Copy it anew, whole.\n" }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Of a URL with a password nothing is printed. */}}
{{- define "track-tree-audio.checkProxy" -}}
{{- $proxy := .Values.proxy }}
{{- range $key := list "httpProxy" "httpsProxy" }}
{{- if contains "@" (get $proxy $key) }}
{{- fail (printf "\n\nproxy.%s has a user name in it, which everybody who sees a pod could read: put the whole URL into a Secret, as its key %s, and set proxy.existingSecret to the Secret's name.\n" $key (ternary "HTTPS_PROXY" "HTTP_PROXY" (eq $key "httpsProxy"))) }}
{{- end }}
{{- if and $proxy.existingSecret (get $proxy $key) }}
{{- fail (printf "\n\nproxy.existingSecret and proxy.%s are both set, of which one would be ignored: keep one of them.\n" $key) }}
{{- end }}
{{- end }}
{{- if not (or $proxy.httpProxy $proxy.httpsProxy $proxy.existingSecret) }}
{{- if or $proxy.noProxy $proxy.resolvesNames .Values.networkPolicy.proxy.to }}
{{- fail "\n\nproxy.noProxy, proxy.resolvesNames or networkPolicy.proxy.to is set, but no proxy is: set proxy.httpsProxy (and proxy.httpProxy) or proxy.existingSecret, or remove them.\n" }}
{{- end }}
{{- end }}
{{- if and .Values.networkPolicy.proxy.ports (not .Values.networkPolicy.proxy.to) }}
{{- fail "\n\nnetworkPolicy.proxy.ports is set, but networkPolicy.proxy.to is not, so they would be ignored: say where the proxy is, or remove them.\n" }}
{{- end }}
{{- end }}

{{- define "track-tree-audio.checkModels" -}}
{{- $known := list "demo" "htdemucs" "htdemucs_ft" "htdemucs_6s" "hdemucs_mmi" "mdx_extra" }}
{{- if .Values.models.registry }}
{{- $known = list }}
{{- range .Values.models.registry.models }}
{{- if has .name $known }}
{{- fail (printf "\n\nmodels.registry describes %s twice: remove one of the two.\n" .name) }}
{{- end }}
{{- $known = append $known .name }}
{{- end }}
{{- end }}
{{- range .Values.models.offered }}
{{- if not (has . $known) }}
{{- fail (printf "\n\nmodels.offered has %s, which the registry has not: %s. Remove it, or describe it in models.registry.\n" . (join ", " $known)) }}
{{- end }}
{{- end }}
{{- range $model, $entry := .Values.models.resources }}
{{- if not (has $model $known) }}
{{- fail (printf "\n\nmodels.resources has %s, which the registry has not: %s. Remove it, or describe it in models.registry.\n" $model (join ", " $known)) }}
{{- end }}
{{- include "track-tree-audio.checkModelResources" (dict "root" $ "model" $model "entry" $entry) }}
{{- end }}
{{- end }}

{{- /* Call with model and its entry of models.resources: what a worker of it would get. The same is
       refused by operator/splitjob_operator/core/worker_resources.py. */}}
{{- define "track-tree-audio.checkModelResources" -}}
{{- $worker := .root.Values.worker }}
{{- $entry := .entry }}
{{- $name := printf "models.resources.%s" .model }}
{{- range $key := list "memory" "memoryRetry" "scratchSize" "ephemeralStorage" }}
{{- include "track-tree-audio.checkQuantity" (dict "name" (printf "%s.%s" $name $key) "value" (get $entry $key | default "") "least" 1048576 "most" 1125899906842624 "range" "1Mi and 1Pi: write the unit, as in 6Gi (m means thousandths of a byte).") }}
{{- end }}
{{- range $key := list "cpu" "cpuLimit" }}
{{- include "track-tree-audio.checkQuantity" (dict "name" (printf "%s.%s" $name $key) "value" (get $entry $key | default "") "least" 0.001 "most" 1024 "range" "1m and 1024 cores: write 2, 1.5 or 500m (thousandths).") }}
{{- end }}
{{- $all := dict }}
{{- range $key := list "device" "cpu" "cpuLimit" "memory" "memoryRetry" "scratchSize" "ephemeralStorage" }}
{{- $_ := set $all $key (ternary (get $entry $key) (get $worker $key) (hasKey $entry $key)) }}
{{- end }}
{{- if or (hasKey $entry "memoryRetry") (not (hasKey $entry "memory")) }}
{{- include "track-tree-audio.checkAtMost" (dict "name" (printf "The memory of %s" .model) "value" $all.memory "above" "that of its retry" "limit" $all.memoryRetry "why" (printf "that is the memory of the attempt after one that ran out of it. Set %s.memoryRetry to more." $name)) }}
{{- end }}
{{- include "track-tree-audio.checkAtMost" (dict "name" (printf "The cpu of %s" .model) "value" $all.cpu "above" "its cpuLimit" "limit" $all.cpuLimit "why" (printf "no pod may ask for more than its limit. Set %s.cpuLimit to more, or to \"\"." $name)) }}
{{- include "track-tree-audio.checkAtMost" (dict "name" (printf "The scratchSize of %s" .model) "value" $all.scratchSize "above" "its ephemeralStorage" "limit" $all.ephemeralStorage "why" (printf "the scratch disk counts as ephemeral storage. Set %s.ephemeralStorage to more, or to \"\"." $name)) }}
{{- $gpu := $entry.gpu | default $worker.gpu }}
{{- if and $entry.gpu (get $gpu "claimTemplate") (or (hasKey $gpu "resourceName") (hasKey $gpu "count")) }}
{{- fail (printf "\n\n%s.gpu.claimTemplate stands in the place of resourceName and count: remove these, or claimTemplate.\n" $name) }}
{{- end }}
{{- $count := ternary (get $gpu "count") 1 (hasKey $gpu "count") }}
{{- if and (eq $all.device "cuda") (eq (int $count) 0) (not (get $gpu "claimTemplate")) }}
{{- fail (printf "\n\nThe device of %s is cuda, but its gpu.count is 0, so no pod would be given a GPU. Set %s.device to cpu, or the count.\n" .model $name) }}
{{- end }}
{{- end }}

{{- define "track-tree-audio.checkWebhooks" -}}
{{- range .Values.webhooks.allowlist }}
{{- if hasPrefix "http://" . }}
{{- if eq $.Values.environment "prod" }}
{{- fail (printf "\n\nwebhooks.allowlist has %s: a webhook goes over https. Use https://, or environment: local for loopback addresses.\n" .) }}
{{- end }}
{{- if not (regexMatch "^http://(localhost|127[.0-9]+|\\[::1\\])(:[0-9]+)?(/|$)" .) }}
{{- fail (printf "\n\nwebhooks.allowlist has %s: also with environment: local, http goes to loopback addresses only. Use https://, or localhost.\n" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
