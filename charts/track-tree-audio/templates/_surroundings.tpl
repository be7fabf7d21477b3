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
