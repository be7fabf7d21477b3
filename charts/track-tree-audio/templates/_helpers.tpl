{{- /* The prefix of every object's name. Services are the strictest: letters, digits and -, a letter
       first. The schema holds the overrides to that; a release may be called audio-1.2 or 3stems. */}}
{{- define "track-tree-audio.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $release := replace "." "-" .Release.Name }}
{{- if regexMatch "^[0-9]" $release }}
{{- $release = printf "%s-%s" $name $release }}
{{- end }}
{{- $full := ternary $release (printf "%s-%s" $release $name) (contains $name $release) }}
{{- default $full .Values.fullnameOverride | trunc 40 | trimAll "-" }}
{{- end }}

{{- /* Selectors cannot be changed by an upgrade, so no value is in them. */}}
{{- define "track-tree-audio.matchLabels" -}}
app.kubernetes.io/name: track-tree-audio
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "track-tree-audio.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{ include "track-tree-audio.matchLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The ConfigMap that makes a release the only one of its namespace; its name is the same for
       every release, so that Helm refuses a second one. */}}
{{- define "track-tree-audio.installationName" -}}
track-tree-audio-installation
{{- end }}

{{- /* Selector labels of one component; call with (dict "root" $ "component" "api"). */}}
{{- define "track-tree-audio.selector" -}}
{{ include "track-tree-audio.matchLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "track-tree-audio.componentLabels" -}}
{{ include "track-tree-audio.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "track-tree-audio.serviceAccount" -}}
{{- $full := printf "%s-%s" (include "track-tree-audio.fullname" .root) .component }}
{{- default $full (index .root.Values .component).serviceAccount.name }}
{{- end }}

{{- /* registry/repository:tag, or registry/repository@sha256:... where there is a digest. */}}
{{- define "track-tree-audio.image" -}}
{{- $image := .image }}
{{- $registry := default .root.Values.global.imageRegistry $image.registry }}
{{- if and $registry (contains ":" $image.repository) }}
{{- fail (printf "\n\nimage.repository %s names a registry and its port, and there is another registry for it: %s. Write the host to image.registry and only the path to image.repository.\n" $image.repository $registry) }}
{{- end }}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- /* The Secret with the token and the storage keys: the reader's own, or this chart's. */}}
{{- define "track-tree-audio.secretName" -}}
{{- default (include "track-tree-audio.fullname" .) .Values.secrets.existingSecret }}
{{- end }}

{{- /* The names of the keys in that Secret, by the variables they become. */}}
{{- define "track-tree-audio.secretKeys" -}}
{{- $keys := dict "token" "DEMUCSSVC_TOKEN" "s3AccessKeyId" "S3_ACCESS_KEY_ID" "s3SecretAccessKey" "S3_SECRET_ACCESS_KEY" }}
{{- range $key, $variable := $keys }}
{{ $variable }}: {{ ternary (index $.Values.secrets.keys $key) $variable (ne $.Values.secrets.existingSecret "") }}
{{- end }}
{{- end }}

{{- /* The same of those that the API has. */}}
{{- define "track-tree-audio.apiSecretKeys" -}}
{{- $own := .Values.secrets.existingSecret }}
DEMUCSSVC_TOKEN: {{ ternary .Values.secrets.keys.token "DEMUCSSVC_TOKEN" (ne $own "") }}
{{- if .Values.api.storage.enabled }}
S3_ACCESS_KEY_ID: {{ ternary .Values.secrets.keys.apiS3AccessKeyId "API_S3_ACCESS_KEY_ID" (ne $own "") }}
S3_SECRET_ACCESS_KEY: {{ ternary .Values.secrets.keys.apiS3SecretAccessKey "API_S3_SECRET_ACCESS_KEY" (ne $own "") }}
{{- end }}
{{- end }}

{{- /* The role of AWS that a component takes by a token of its service account; call with root and
       component. */}}
{{- define "track-tree-audio.roleArn" -}}
{{- if eq .component "operator" }}
{{- .root.Values.storage.webIdentity.roleArn }}
{{- else if .root.Values.api.storage.enabled }}
{{- .root.Values.api.storage.roleArn }}
{{- end }}
{{- end }}

{{- /* With one replica a budget would protect nothing. It says how many may be missing, never how many
       must be there, and so never keeps a node from being drained. Call with root, component and
       replicas. */}}
{{- define "track-tree-audio.disruptionBudget" -}}
{{- $budget := (index .root.Values .component).podDisruptionBudget }}
{{- if and $budget.enabled (gt (int .replicas) 1) -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "track-tree-audio.fullname" .root }}-{{ .component }}
  labels:
    {{- include "track-tree-audio.componentLabels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $budget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "track-tree-audio.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{- /* As models.resources, with whole numbers where Helm reads floating point, and a selector for
       spread constraints without one. */}}
{{- define "track-tree-audio.modelResources" -}}
{{- $found := dict }}
{{- range $model, $given := .Values.models.resources }}
{{- $entry := deepCopy $given }}
{{- if hasKey ($given.gpu | default dict) "count" }}
{{- $_ := set $entry.gpu "count" (int64 $given.gpu.count) }}
{{- end }}
{{- with $given.topologySpreadConstraints }}
{{- $_ := set $entry "topologySpreadConstraints" (include "track-tree-audio.spread" (dict "root" $ "component" "worker" "constraints" .) | fromYamlArray) }}
{{- end }}
{{- $_ := set $found $model $entry }}
{{- end }}
{{- toYaml $found }}
{{- end }}

{{- define "track-tree-audio.ipFamilies" -}}
{{- with .Values.api.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.api.service.ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
