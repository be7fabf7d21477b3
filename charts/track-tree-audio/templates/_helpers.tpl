{{- define "track-tree-audio.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* The prefix of every object's name. */}}
{{- define "track-tree-audio.fullname" -}}
{{- $name := include "track-tree-audio.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "track-tree-audio.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "track-tree-audio.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Selector labels of one component; call with (dict "root" $ "component" "api"). */}}
{{- define "track-tree-audio.selector" -}}
app.kubernetes.io/name: {{ include "track-tree-audio.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
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

{{- define "track-tree-audio.image" -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) }}
{{- end }}

{{- /* The Secret with the token and the storage keys: the reader's own, or this chart's. */}}
{{- define "track-tree-audio.secretName" -}}
{{- default (include "track-tree-audio.fullname" .) .Values.secrets.existingSecret }}
{{- end }}

{{- define "track-tree-audio.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "track-tree-audio.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Where a pod runs; call with the component's values. */}}
{{- define "track-tree-audio.placement" -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with index $ $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
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

{{- /* What the pods of API and operator have in common; call with root and component. The
       checksums replace the pods when their settings change; that of the secrets is cut short, so
       that it cannot serve to guess them. */}}
{{- define "track-tree-audio.podMetadata" -}}
{{- $values := index .root.Values .component -}}
labels:
  {{- include "track-tree-audio.selector" . | nindent 2 }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
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
serviceAccountName: {{ include "track-tree-audio.serviceAccount" . }}
automountServiceAccountToken: true
enableServiceLinks: false
terminationGracePeriodSeconds: 30
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "track-tree-audio.podSecurityContext" . | nindent 2 }}
{{- include "track-tree-audio.placement" $values }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- if .root.Values.models.registry }}
  - name: models
    configMap:
      name: {{ include "track-tree-audio.fullname" .root }}-models
  {{- end }}
{{- end }}

{{- define "track-tree-audio.container" -}}
{{- $values := index .root.Values .component -}}
image: {{ include "track-tree-audio.image" (dict "root" .root "image" $values.image) }}
imagePullPolicy: {{ $values.image.pullPolicy }}
securityContext:
  {{- include "track-tree-audio.containerSecurityContext" . | nindent 2 }}
ports:
  - name: http
    containerPort: {{ $values.port }}
    protocol: TCP
envFrom:
  - configMapRef:
      name: {{ include "track-tree-audio.fullname" .root }}-{{ .component }}
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
  - name: tmp
    mountPath: /tmp
  {{- if .root.Values.models.registry }}
  - name: models
    mountPath: /etc/track-tree-audio
    readOnly: true
  {{- end }}
{{- end }}

{{- define "track-tree-audio.env" -}}
- name: NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: HOST
  {{- if .root.Values.listenOnPodIP }}
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
  {{- else }}
  value: "0.0.0.0"
  {{- end }}
- name: TMPDIR
  value: /tmp
- name: DEMUCSSVC_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "track-tree-audio.secretName" .root }}
      key: DEMUCSSVC_TOKEN
{{- end }}
