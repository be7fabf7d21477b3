{{- /* A Kubernetes quantity as a number; call with the quantity. The schema has let through only
       what is one; the program's own reading is splitjob.quantity. */}}
{{- define "track-tree-audio.quantity" -}}
{{- $text := toString . }}
{{- if regexMatch "[eE][+-]?[0-9]+$" $text }}
{{- float64 $text }}
{{- else }}
{{- $number := regexFind "^[+]?[0-9.]+" $text }}
{{- $units := dict "" 1.0 "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 }}
{{- $units = merge $units (dict "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0) }}
{{- $units = merge $units (dict "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0) }}
{{- mulf (float64 $number) (get $units (trimPrefix $number $text)) }}
{{- end }}
{{- end }}

{{- /* Refuse a quantity outside of its bounds; call with name, value, least and most (numbers) and
       range (in words). Blank is left to the default. */}}
{{- define "track-tree-audio.checkQuantity" -}}
{{- if ne (toString .value) "" }}
{{- $number := float64 (include "track-tree-audio.quantity" .value) }}
{{- if or (lt $number (float64 .least)) (gt $number (float64 .most)) }}
{{- fail (printf "\n\n%s is %v, which is not between %s\n" .name .value .range) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Refuse a quantity above another; call with name, value, above (its name), limit and why. */}}
{{- define "track-tree-audio.checkAtMost" -}}
{{- if and (ne (toString .value) "") (ne (toString .limit) "") }}
{{- if gt (float64 (include "track-tree-audio.quantity" .value)) (float64 (include "track-tree-audio.quantity" .limit)) }}
{{- fail (printf "\n\n%s (%v) is above %s (%v): %s\n" .name .value .above .limit .why) }}
{{- end }}
{{- end }}
{{- end }}
