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

{{- /* The certificates to trust, the proxy, the collector of traces: the same for every pod, the
       workers' included. */}}
{{- define "track-tree-audio.surroundingsEnv" -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}
{{- range list "SSL_CERT_FILE" "AWS_CA_BUNDLE" "REQUESTS_CA_BUNDLE" }}
- name: {{ . }}
  value: /etc/track-tree-audio-ca/ca.pem
{{- end }}
{{- end }}
{{- with .Values.proxy }}
{{- if or .httpProxy .httpsProxy .existingSecret }}
{{- $never := "localhost,127.0.0.1,::1,169.254.170.23,fd00:ec2::23,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)" }}
{{- $none := ternary (printf "%s,%s" $never .noProxy) $never (ne .noProxy "") }}
{{- range $name, $value := dict "HTTP_PROXY" .httpProxy "HTTPS_PROXY" .httpsProxy "NO_PROXY" $none }}
{{- if $value }}
- name: {{ $name }}
  value: {{ $value | quote }}
- name: {{ lower $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- if .resolvesNames }}
- name: PROXY_RESOLVES_NAMES
  value: "true"
{{- end }}
{{- end }}
{{- with .existingSecret }}
{{- range $name := list "HTTP_PROXY" "HTTPS_PROXY" }}
{{- range $variable := list $name (lower $name) }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.proxy.existingSecret | quote }}
      key: {{ $name }}
      {{- if eq $name "HTTP_PROXY" }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.tracing }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- with .existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: OTEL_EXPORTER_OTLP_HEADERS
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "track-tree-audio.surroundingsVolumes" -}}
{{- with .Values.caBundle }}
{{- if or .configMap .secret }}
- name: ca-bundle
  {{- if .configMap }}
  configMap:
    name: {{ .configMap | quote }}
  {{- else }}
  secret:
    secretName: {{ .secret | quote }}
  {{- end }}
    items:
      - key: {{ .key | quote }}
        path: ca.pem
{{- end }}
{{- end }}
{{- end }}

{{- define "track-tree-audio.surroundingsMounts" -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}
- name: ca-bundle
  mountPath: /etc/track-tree-audio-ca
  readOnly: true
{{- end }}
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
