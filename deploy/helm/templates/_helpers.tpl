{{- define "patwarden.name" -}}
{{- $name := .Release.Name }}
{{- if not (contains "patwarden" $name) }}{{ $name = printf "%s-patwarden" $name }}{{ end }}
{{- /* The rules' ConfigMap has six letters more. */}}
{{- $name | trunc 57 | trimSuffix "-" }}
{{- end }}

{{- define "patwarden.selector" -}}
app.kubernetes.io/name: patwarden
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "patwarden.labels" -}}
{{ include "patwarden.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* Settings as the TOML file that PATWARDEN_CONFIG names. */}}
{{- define "patwarden.settings" -}}
{{- $own := list "database-url" "listen" "ops-listen" "private-key" "private-key-path" "webhook-secret" "webhook-secret-path" "mail-password" "mail-password-path" }}
{{- range $name, $value := .Values.settings }}
{{- if has $name $own }}{{ fail (printf "settings.%s is the chart's to say" $name) }}{{ end }}
{{- if kindIs "map" $value }}{{ fail (printf "settings.%s is no single value" $name) }}{{ end }}
{{- if ne (toString $value) "" }}
{{- /* Numbers come as floats: an App's id would be 1.2e+06. */}}
{{ $name }} = {{ if kindIs "float64" $value }}{{ $value | int64 | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}
{{- if not .Values.settings.rules }}
rules = "/etc/patwarden/rules/rules.toml"
{{- end }}
{{- with .Values.moreSettings }}
{{ . }}
{{- end }}
{{- end }}
