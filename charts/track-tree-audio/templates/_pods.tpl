{{- /* What the pods of API and operator have in common; call with root and component. The
       checksums replace the pods when their settings change; that of the secrets is cut short, so
       that it cannot serve to guess them. */}}
{{- define "track-tree-audio.podMetadata" -}}
{{- $values := index .root.Values .component -}}
labels:
  {{- $own := include "track-tree-audio.selector" . | fromYaml }}
  {{- toYaml (merge (dict) $own $values.podLabels .root.Values.commonLabels) | nindent 2 }}
annotations:
  checksum/settings: {{ include (printf "track-tree-audio.%sSettings" .component) .root | sha256sum }}
  checksum/models: {{ toJson .root.Values.models.registry | sha256sum }}
  {{- if not .root.Values.secrets.existingSecret }}
  checksum/secrets: {{ toJson .root.Values.secrets | sha256sum | trunc 8 | quote }}
  {{- end }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "track-tree-audio.podSpec" -}}
{{- $values := index .root.Values .component -}}
serviceAccountName: {{ include "track-tree-audio.serviceAccount" . | quote }}
automountServiceAccountToken: true
enableServiceLinks: false
terminationGracePeriodSeconds: 30
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
{{- include "track-tree-audio.placement" . }}
volumes:
  {{- include "track-tree-audio.ownVolumes" . | nindent 2 }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "track-tree-audio.ownVolumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- if .root.Values.models.registry }}
- name: models
  configMap:
    name: {{ include "track-tree-audio.fullname" .root }}-models
{{- end }}
{{- include "track-tree-audio.surroundingsVolumes" .root }}
{{- if include "track-tree-audio.roleArn" . }}
{{- with .root.Values.storage.webIdentity }}
- name: aws-token
  projected:
    sources:
      - serviceAccountToken:
          audience: {{ .audience | quote }}
          expirationSeconds: {{ int64 .expirationSeconds }}
          path: token
{{- end }}
{{- end }}
{{- end }}

{{- define "track-tree-audio.ownMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .root.Values.models.registry }}
- name: models
  mountPath: /etc/track-tree-audio
  readOnly: true
{{- end }}
{{- include "track-tree-audio.surroundingsMounts" .root }}
{{- if include "track-tree-audio.roleArn" . }}
- name: aws-token
  mountPath: /var/run/secrets/track-tree-audio/aws
  readOnly: true
{{- end }}
{{- end }}

{{- define "track-tree-audio.container" -}}
{{- $values := index .root.Values .component -}}
image: {{ include "track-tree-audio.image" (dict "root" .root "image" $values.image) | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
# Why a process did not start is the last line of its log; `kubectl describe pod` shows it too.
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- toYaml $values.containerSecurityContext | nindent 2 }}
ports:
  - name: http
    containerPort: {{ $values.port }}
    protocol: TCP
envFrom:
  - configMapRef:
      name: {{ include "track-tree-audio.fullname" .root }}-{{ .component }}
env:
  {{- include "track-tree-audio.ownEnv" . | nindent 2 }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
startupProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 1
  failureThreshold: 60
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: 2
  timeoutSeconds: 5
livenessProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
resources:
  {{- toYaml $values.resources | nindent 2 }}
volumeMounts:
  {{- include "track-tree-audio.ownMounts" . | nindent 2 }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* The variables that are no plain settings. A fieldRef says its apiVersion, which the API server
       would add, so that it looks changed to nobody. */}}
{{- define "track-tree-audio.ownEnv" -}}
- name: NAMESPACE
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: metadata.namespace
{{- if eq .component "operator" }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: metadata.name
{{- end }}
- name: HOST
  {{- if .root.Values.listenOnPodIP }}
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: status.podIP
  {{- else }}
  value: "::"
  {{- end }}
- name: TMPDIR
  value: /tmp
{{- $keys := ternary "secretKeys" "apiSecretKeys" (eq .component "operator") }}
{{- range $variable, $key := include (printf "track-tree-audio.%s" $keys) .root | fromYaml }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ include "track-tree-audio.secretName" $.root | quote }}
      key: {{ $key | quote }}
      {{- if hasPrefix "S3_" $variable }}
      optional: true
      {{- end }}
{{- end }}
{{- include "track-tree-audio.surroundingsEnv" .root }}
{{- with include "track-tree-audio.roleArn" . }}
- name: AWS_ROLE_ARN
  value: {{ . | quote }}
- name: AWS_WEB_IDENTITY_TOKEN_FILE
  value: /var/run/secrets/track-tree-audio/aws/token
{{- end }}
{{- end }}

{{- /* Where a pod runs; call with root and component. Constraints that say nothing of the pods they
       count mean those of their component. */}}
{{- define "track-tree-audio.placement" -}}
{{- $values := index .root.Values .component }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with index $values $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with include "track-tree-audio.spread" . | fromYamlArray }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{- /* Call with component and, where they are not its own, the constraints. */}}
{{- define "track-tree-audio.spread" -}}
{{- $selector := dict "matchLabels" (include "track-tree-audio.selector" . | fromYaml) }}
{{- if eq .component "worker" }}{{- /* the operator's own labels, see its worker_job.py */}}
{{- $selector = dict "matchLabels" (dict "app.kubernetes.io/name" "track-tree-audio" "app.kubernetes.io/component" "worker") }}
{{- end }}
{{- $constraints := list }}
{{- range get . "constraints" | default (index .root.Values .component).topologySpreadConstraints }}
{{- $constraints = append $constraints (merge (dict) . (dict "labelSelector" $selector)) }}
{{- end }}
{{- toYaml $constraints }}
{{- end }}
