{{- /* The settings of API and operator: environment variables, from values. Numbers pass int64,
       because Helm reads them as floating point. */}}

{{- define "track-tree-audio.totalsName" -}}
{{- include "track-tree-audio.fullname" . }}-totals
{{- end }}

{{- define "track-tree-audio.leaseName" -}}
{{- include "track-tree-audio.fullname" . }}-operator
{{- end }}

{{- define "track-tree-audio.sharedSettings" -}}
RELEASE: {{ .Release.Name | quote }}
SECRET_NAME: {{ include "track-tree-audio.secretName" . | quote }}
ENVIRONMENT: {{ .Values.environment | quote }}
LOG_LEVEL: {{ .Values.logLevel | quote }}
API_WEBHOOK_URL_ALLOWLIST: {{ join "," .Values.webhooks.allowlist | quote }}
SOURCE_ALLOWED_NETWORKS: {{ join "," .Values.source.allowedNetworks | quote }}
TOTALS_CONFIGMAP: {{ include "track-tree-audio.totalsName" . | quote }}
MODELS: {{ join "," .Values.models.offered | quote }}
{{- if .Values.models.registry }}
MODEL_REGISTRY: /etc/track-tree-audio/models.yaml
{{- end }}
{{- end }}

{{- define "track-tree-audio.bucketSettings" -}}
S3_ADDRESSING_STYLE: {{ .Values.storage.addressingStyle | quote }}
S3_CHECKSUM: {{ .Values.storage.checksum | quote }}
S3_SSE: {{ .Values.storage.serverSideEncryption | quote }}
S3_SSE_KMS_KEY_ID: {{ .Values.storage.kmsKeyId | quote }}
S3_STORAGE_CLASS: {{ .Values.storage.storageClass | quote }}
S3_REQUESTER_PAYS: {{ .Values.storage.requesterPays | quote }}
{{- end }}

{{- define "track-tree-audio.apiSettings" -}}
{{ include "track-tree-audio.sharedSettings" . }}
SECRET_KEYS: {{ include "track-tree-audio.apiSecretKeys" . | fromYaml | toJson | quote }}
PORT: {{ .Values.api.port | quote }}
MAX_QUEUED_JOBS: {{ int64 .Values.queue.maxQueuedJobs | quote }}
MAX_ACTIVE_JOBS: {{ int64 .Values.queue.maxActiveJobs | quote }}
PAUSED: {{ .Values.queue.paused | quote }}
QUEUE_STATUS_PUBLIC: {{ .Values.queue.statusPublic | quote }}
KUBERNETES_TOKENS: {{ .Values.api.kubernetesTokens.enabled | quote }}
KUBERNETES_TOKEN_AUDIENCE: {{ .Values.api.kubernetesTokens.audience | quote }}
RATE_LIMIT_PER_SECOND: {{ .Values.api.rateLimit.perSecond | quote }}
RATE_LIMIT_BURST: {{ int64 .Values.api.rateLimit.burst | quote }}
KEEP_ALIVE_SECONDS: {{ int64 .Values.api.keepAliveSeconds | quote }}
SLOW_READER_SECONDS: {{ .Values.api.slowReaderSeconds | quote }}
ROOT_PATH: {{ .Values.api.rootPath | quote }}
BODY_TIMEOUT_SECONDS: {{ .Values.api.bodyTimeoutSeconds | quote }}
CONSOLE_ENABLED: {{ .Values.api.console.enabled | quote }}
MAX_STREAMS: {{ int64 .Values.api.streams.max | quote }}
{{- with .Values.api.storage }}
S3_ENDPOINT: {{ default $.Values.storage.endpoint .publicEndpoint | quote }}
S3_READ_ENDPOINT: {{ ternary $.Values.storage.endpoint "" (ne .publicEndpoint "") | quote }}
S3_REGION: {{ $.Values.storage.region | quote }}
S3_BUCKET: {{ ternary $.Values.storage.bucket "" .enabled | quote }}
STORAGE_PREFIX: {{ $.Values.storage.prefix | quote }}
{{ include "track-tree-audio.bucketSettings" $ }}
DOWNLOAD_URL_SECONDS: {{ int64 .urlSeconds | quote }}
UPLOADS_ENABLED: {{ .uploads.enabled | quote }}
UPLOAD_URL_SECONDS: {{ int64 .uploads.urlSeconds | quote }}
MAX_SOURCE_BYTES: {{ int64 $.Values.source.maxBytes | quote }}
{{- end }}
{{- end }}

{{- define "track-tree-audio.operatorSettings" -}}
{{ include "track-tree-audio.sharedSettings" . }}
SECRET_KEYS: {{ include "track-tree-audio.secretKeys" . | fromYaml | toJson | quote }}
PORT: {{ .Values.operator.port | quote }}
LEASE_NAME: {{ include "track-tree-audio.leaseName" . | quote }}
RESYNC_SECONDS: {{ .Values.operator.resyncSeconds | quote }}
NODE_LOST_SECONDS: {{ int64 .Values.operator.nodeLostSeconds | quote }}
PAUSED: {{ .Values.queue.paused | quote }}
MAX_ACTIVE_JOBS: {{ int64 .Values.queue.maxActiveJobs | quote }}
QUEUE_GROUP_BY: {{ .Values.queue.groupBy | quote }}
MAX_ACTIVE_JOBS_PER_GROUP: {{ int64 .Values.queue.maxActiveJobsPerGroup | quote }}
QUEUE_DEADLINE_SECONDS: {{ int64 .Values.queue.queueDeadlineSeconds | quote }}
RUN_DEADLINE_SECONDS: {{ int64 .Values.queue.runDeadlineSeconds | quote }}
START_DEADLINE_SECONDS: {{ int64 .Values.queue.startDeadlineSeconds | quote }}
KEEP_FINISHED_JOBS_SECONDS: {{ int64 .Values.queue.keepFinishedJobsSeconds | quote }}
TTL_SECONDS_AFTER_FINISHED: {{ int64 .Values.queue.ttlSecondsAfterFinished | quote }}
PRIORITY_CLASSES: {{ toJson .Values.queue.priorityClasses | quote }}
KUEUE_LOCAL_QUEUE: {{ .Values.kueue.localQueue | quote }}
KUEUE_PRIORITY_CLASSES: {{ toJson .Values.kueue.priorityClasses | quote }}
MAX_AUDIO_SECONDS: {{ int64 .Values.source.maxAudioSeconds | quote }}
MAX_LOST_PERCENT: {{ int64 .Values.source.maxLostPercent | quote }}
MAX_SOURCE_BYTES: {{ int64 .Values.source.maxBytes | quote }}
S3_ENDPOINT: {{ .Values.storage.endpoint | quote }}
S3_REGION: {{ .Values.storage.region | quote }}
S3_BUCKET: {{ .Values.storage.bucket | quote }}
STORAGE_PREFIX: {{ .Values.storage.prefix | quote }}
{{ include "track-tree-audio.bucketSettings" . }}
{{ include "track-tree-audio.workerSettings" . }}
{{- end }}

{{- define "track-tree-audio.workerSettings" -}}
{{- $worker := .Values.worker -}}
WORKER_IMAGE: {{ include "track-tree-audio.image" (dict "root" . "image" $worker.image) | quote }}
WORKER_IMAGE_PULL_POLICY: {{ $worker.image.pullPolicy | quote }}
WORKER_IMAGE_PULL_SECRETS: {{ toJson .Values.imagePullSecrets | quote }}
WORKER_SERVICE_ACCOUNT: {{ include "track-tree-audio.serviceAccount" (dict "root" . "component" "worker") | quote }}
WORKER_SECRET_NAME: {{ include "track-tree-audio.secretName" . | quote }}
WORKER_SECRET_KEYS: {{ include "track-tree-audio.secretKeys" . | fromYaml | toJson | quote }}
{{- with .Values.storage.webIdentity }}
{{- if .roleArn }}
WORKER_AWS_ROLE_ARN: {{ .roleArn | quote }}
WORKER_AWS_TOKEN_AUDIENCE: {{ .audience | quote }}
WORKER_AWS_TOKEN_SECONDS: {{ int64 .expirationSeconds | quote }}
{{- end }}
{{- end }}
WORKER_DEVICE: {{ $worker.device | quote }}
WORKER_PRECISION: {{ $worker.precision | quote }}
WORKER_GPU_RESOURCE: {{ $worker.gpu.resourceName | quote }}
WORKER_GPU_COUNT: {{ int64 $worker.gpu.count | quote }}
WORKER_GPU_CLAIM_TEMPLATE: {{ $worker.gpu.claimTemplate | quote }}
WORKER_CPU: {{ $worker.cpu | quote }}
WORKER_CPU_LIMIT: {{ $worker.cpuLimit | quote }}
WORKER_MEMORY: {{ $worker.memory | quote }}
WORKER_MEMORY_RETRY: {{ $worker.memoryRetry | quote }}
WORKER_SCRATCH_SIZE: {{ $worker.scratchSize | quote }}
WORKER_EPHEMERAL_STORAGE: {{ $worker.ephemeralStorage | quote }}
WORKER_NODE_SELECTOR: {{ toJson $worker.nodeSelector | quote }}
WORKER_TOLERATIONS: {{ toJson $worker.tolerations | quote }}
WORKER_AFFINITY: {{ toJson $worker.affinity | quote }}
WORKER_TOPOLOGY_SPREAD_CONSTRAINTS: {{ include "track-tree-audio.spread" (dict "root" . "component" "worker") | fromYamlArray | toJson | quote }}
MODEL_RESOURCES: {{ include "track-tree-audio.modelResources" . | fromYaml | toJson | quote }}
WORKER_PRIORITY_CLASS: {{ $worker.priorityClassName | quote }}
WORKER_RUNTIME_CLASS: {{ $worker.runtimeClassName | quote }}
WORKER_MODEL_DIR: {{ $worker.models.directory | quote }}
{{- with $worker.models.volume }}
WORKER_MODEL_VOLUME: {{ toJson . | quote }}
{{- end }}
{{- if .Values.models.registry }}
WORKER_MODEL_REGISTRY_CONFIGMAP: {{ include "track-tree-audio.fullname" . }}-models
{{- end }}
WORKER_TERMINATION_GRACE_SECONDS: {{ int64 $worker.terminationGracePeriodSeconds | quote }}
CHECKPOINT_MIN_SECONDS: {{ int64 $worker.checkpointMinSeconds | quote }}
{{- if .Values.networkPolicy.enabled }}
WORKER_NETWORK_POLICY: {{ include "track-tree-audio.workerPolicy" . | fromYaml | toJson | quote }}
{{- end }}
WORKER_POD_LABELS: {{ toJson (merge (dict) $worker.podLabels .Values.commonLabels) | quote }}
WORKER_POD_ANNOTATIONS: {{ toJson $worker.podAnnotations | quote }}
WORKER_POD_SECURITY_CONTEXT: {{ toJson $worker.podSecurityContext | quote }}
WORKER_CONTAINER_SECURITY_CONTEXT: {{ toJson $worker.containerSecurityContext | quote }}
WORKER_EXTRA_ENV: {{ concat (include "track-tree-audio.surroundingsEnv" . | fromYamlArray) $worker.extraEnv | toJson | quote }}
WORKER_EXTRA_VOLUMES: {{ concat (include "track-tree-audio.surroundingsVolumes" . | fromYamlArray) $worker.extraVolumes | toJson | quote }}
WORKER_EXTRA_VOLUME_MOUNTS: {{ concat (include "track-tree-audio.surroundingsMounts" . | fromYamlArray) $worker.extraVolumeMounts | toJson | quote }}
CUDA_VISIBLE_DEVICES: {{ $worker.cudaVisibleDevices | quote }}
{{- end }}
