{{- /* Additions that would hide something of the chart's own: refused, with what to do instead.
       operator/splitjob_operator/core/additions.py refuses the same for the workers' pods. */}}

{{- define "track-tree-audio.refuseLabels" -}}
{{- $own := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/component" "app.kubernetes.io/managed-by" "helm.sh/chart" "job-name" "controller-uid" "pod-template-hash" }}
{{- range $label, $_ := .labels }}
{{- if or (has $label $own) (hasPrefix "audio.track-tree.com/" $label) (hasPrefix "batch.kubernetes.io/" $label) (hasPrefix "rbac.authorization.k8s.io/" $label) }}
{{- fail (printf "\n\n%s has %s, which the chart or Kubernetes sets itself and by which pods are found: remove it, or take another key.\n" $.value $label) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Call with component and what its pods have anyway: env, volumes, paths, as lists. */}}
{{- define "track-tree-audio.refuseAdditions" -}}
{{- $values := index .root.Values .component }}
{{- $names := list }}
{{- range $values.extraEnv }}
{{- if has .name $.env }}
{{- fail (printf "\n\n%s.extraEnv has %s, which the chart sets itself: remove it, and use the value that is for it (see values.yaml).\n" $.component .name) }}
{{- end }}
{{- if has .name $names }}
{{- fail (printf "\n\n%s.extraEnv has %s more than once: remove one.\n" $.component .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- $volumes := list }}
{{- range $values.extraVolumes }}
{{- if or (has .name $.volumes) (has .name $volumes) }}
{{- fail (printf "\n\n%s.extraVolumes has %s, a name that is taken: choose another one.\n" $.component .name) }}
{{- end }}
{{- $volumes = append $volumes .name }}
{{- range (dig "projected" "sources" list .) }}
{{- if and (eq $.component "worker") .serviceAccountToken (not (dig "serviceAccountToken" "audience" "" .)) }}
{{- fail "\n\nworker.extraVolumes has a token for the API server, which workers must not have: give serviceAccountToken the audience of whom it is for.\n" }}
{{- end }}
{{- end }}
{{- end }}
{{- $paths := list }}
{{- range $values.extraVolumeMounts }}
{{- if not (has .name $volumes) }}
{{- fail (printf "\n\n%s.extraVolumeMounts mounts %s, which is not in %s.extraVolumes: add it there, or remove the mount.\n" $.component .name $.component) }}
{{- end }}
{{- $path := trimSuffix "/" .mountPath }}
{{- if or (has $path $.paths) (has $path $paths) }}
{{- fail (printf "\n\n%s.extraVolumeMounts has %s, where something is mounted already: choose another path.\n" $.component .mountPath) }}
{{- end }}
{{- $paths = append $paths $path }}
{{- end }}
{{- end }}

{{- /* What a worker's pod has anyway, as the operator makes it: compared with its code by a test. */}}
{{- define "track-tree-audio.workerEnv" -}}
[JOB_ID, JOB_UID, ATTEMPT, TRACEPARENT, SPLIT_REQUEST, REQUEST_SECRET_DIR, SCRATCH_DIR, SCRATCH_BYTES, MODEL_DIR, MODEL_REGISTRY, TERMINATION_MESSAGE_PATH, DEVICE, EARLIER_SECONDS, PRECISION, STORAGE_PREFIX, MAX_AUDIO_SECONDS, MAX_LOST_PERCENT, MAX_SOURCE_BYTES, CHECKPOINT_MIN_SECONDS, TERMINATION_GRACE_SECONDS, SOURCE_ALLOWED_NETWORKS, DEMUCSSVC_TOKEN, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, TMPDIR, ENVIRONMENT, API_WEBHOOK_URL_ALLOWLIST, CUDA_VISIBLE_DEVICES, S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ADDRESSING_STYLE, S3_CHECKSUM, S3_SSE, S3_SSE_KMS_KEY_ID, S3_STORAGE_CLASS, S3_REQUESTER_PAYS]
{{- end }}
