{{- define "mkd.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "mkd.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mkd.labels" -}}
{{ include "mkd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "mkd.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "mkd.name" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "mkd.image" -}}
{{- $tag := default (printf "%s%s" .Chart.AppVersion (ternary "-cuda" "" (gt (int .Values.gpus) 0))) .Values.image.tag -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ $tag }}{{ end }}
{{- end }}

{{/* Whether there is an address of a Redis. @param results or queue, of the values */}}
{{- define "mkd.hasAddress" -}}
{{- if or .url .secretName }}yes{{ end }}
{{- end }}

{{/* The address of a Redis as a variable. @param name of the variable @param from results or queue, of the values */}}
{{- define "mkd.address" -}}
- name: {{ .name }}
  {{- if .from.secretName }}
  valueFrom:
    secretKeyRef: { name: {{ .from.secretName }}, key: {{ .from.secretKey }} }
  {{- else }}
  value: {{ .from.url | quote }}
  {{- end }}
{{- end }}

{{- define "mkd.detectorsFolder" -}}
{{- if .Values.detectors.bucket }}{{ .Values.detectors.bucket }}{{ else if .Values.detectors.existingClaim }}/mnt/detectors{{ else }}/app/models{{ end }}
{{- end }}

{{/* What pods of the service and of workers have in common. @param role */}}
{{- define "mkd.pod" -}}
serviceAccountName: {{ include "mkd.serviceAccount" .root }}
automountServiceAccountToken: false
# Variables of Services whose names begin with mkd- would look like settings.
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .root.Values.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or .root.Values.tolerations .root.Values.gpus }}
tolerations:
  {{- with .root.Values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if .root.Values.gpus }}
  - { key: nvidia.com/gpu, operator: Exists, effect: NoSchedule }
  {{- end }}
{{- end }}
{{- with .root.Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .root.Values.topologySpread.enabled }}
topologySpreadConstraints:
  {{- range .root.Values.topologySpread.topologyKeys }}
  - maxSkew: {{ $.root.Values.topologySpread.maxSkew }}
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "mkd.selector" $.root | nindent 8 }}
        app.kubernetes.io/component: {{ $.role }}
  {{- end }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- if .root.Values.detectors.existingClaim }}
  - name: detectors
    persistentVolumeClaim:
      claimName: {{ .root.Values.detectors.existingClaim }}
      readOnly: {{ .root.Values.detectors.readOnly }}
  {{- end }}
  {{- if and .root.Values.keys.secretName (eq .role "service") }}
  - name: keys
    secret: { secretName: {{ .root.Values.keys.secretName }} }
  {{- end }}
  {{- with .root.Values.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if and .root.Values.worker.volumes (eq .role "worker") }}
  {{- toYaml .root.Values.worker.volumes | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "mkd.container" -}}
image: {{ include "mkd.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- with .root.Values.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- $resources := deepCopy .resources }}
  {{- if .root.Values.gpus }}
  {{- $gpu := dict "limits" (dict "nvidia.com/gpu" .root.Values.gpus) }}
  {{- $resources = mergeOverwrite $resources $gpu }}
  {{- end }}
  {{- toYaml $resources | nindent 2 }}
volumeMounts:
  - { name: tmp, mountPath: /tmp }
  {{- if .root.Values.detectors.existingClaim }}
  - { name: detectors, mountPath: /mnt/detectors, readOnly: {{ .root.Values.detectors.readOnly }} }
  {{- end }}
  {{- if and .root.Values.keys.secretName (eq .role "service") }}
  - { name: keys, mountPath: /etc/mkd, readOnly: true }
  {{- end }}
  {{- with .root.Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if and .root.Values.worker.volumeMounts (eq .role "worker") }}
  {{- toYaml .root.Values.worker.volumeMounts | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Whether there may be several replicas of the service. */}}
{{- define "mkd.hasMany" -}}
{{- if or (gt (int .Values.replicas) 1) (ne .Values.autoscaling.kind "none") }}yes{{ end }}
{{- end }}

{{/* How an upgrade replaces pods. @param role */}}
{{- define "mkd.strategy" -}}
{{- $values := .root.Values }}
{{- $isService := eq .role "service" }}
{{- if $values.strategy }}
{{- toYaml $values.strategy }}
{{- else if and $isService $values.detectors.existingClaim (not $values.detectors.readOnly) }}
type: Recreate
{{- else if and $isService (eq (int $values.gpus) 0) }}
type: RollingUpdate
rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }
{{- else }}
type: RollingUpdate
rollingUpdate: { maxUnavailable: 1, maxSurge: 0 }
{{- end }}
{{- end }}
