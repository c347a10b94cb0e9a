{{/* Refuses values that do not go together. What a single value may be is in values.schema.json. */}}
{{- define "mkd.check" -}}
{{- with .Values }}
{{- if and .detectors.existingClaim .detectors.bucket }}
{{- fail "detectors.existingClaim and detectors.bucket: set one of them" }}
{{- end }}
{{- range $name := list "results" "queue" }}
{{- $address := get $.Values $name }}
{{- if and $address.url $address.secretName }}
{{- fail (printf "%s.url and %s.secretName: set one of them" $name $name) }}
{{- end }}
{{- end }}
{{- $urls := dict "results" (urlParse (default "redis://" .results.url)).host "queue" (urlParse (default "redis://" .queue.url)).host }}
{{- if and (include "mkd.hasAddress" .results) (eq $urls.results $urls.queue) (eq .results.secretName .queue.secretName) (eq .results.secretKey .queue.secretKey) }}
{{- fail "results and queue need a Redis each: one drops what does not fit, the other must keep everything" }}
{{- end }}
{{- if and .detectors.existingClaim (not .detectors.readOnly) (include "mkd.hasMany" $) }}
{{- fail "detectors.readOnly false needs replicas 1 and autoscaling.kind none: a job is known to the replica that has it" }}
{{- end }}
{{- if and (eq .provider "cuda") (eq (int .gpus) 0) }}
{{- fail "provider cuda needs gpus, at least 1" }}
{{- end }}
{{- if and (eq .provider "cpu") (gt (int .gpus) 0) }}
{{- fail "provider cpu uses no card: set gpus to 0, or provider to cuda" }}
{{- end }}
{{- if and .ingress.enabled (not .ingress.hosts) }}
{{- fail "ingress.enabled needs ingress.hosts, at least one" }}
{{- end }}
{{- if ge (int .drain.preStopSeconds) (int .drain.seconds) }}
{{- fail "drain.seconds must be more than drain.preStopSeconds" }}
{{- end }}
{{- if and (ne .autoscaling.kind "none") (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas must not be more than autoscaling.maxReplicas" }}
{{- end }}
{{- if and (ne .autoscaling.kind "none") (lt (int .autoscaling.minReplicas) 1) }}
{{- fail "autoscaling.minReplicas must be at least 1: who measures the load of none?" }}
{{- end }}
{{- if and (eq .autoscaling.kind "keda") (not .metrics.serviceMonitor.enabled) }}
{{- fail "autoscaling.kind keda needs metrics.serviceMonitor.enabled: it asks Prometheus for images that wait" }}
{{- end }}
{{- if and (eq .autoscaling.kind "hpa") (not (dig "requests" "cpu" "" .resources)) }}
{{- fail "autoscaling.kind hpa needs resources.requests.cpu: it measures the use of what was requested" }}
{{- end }}
{{- if and .worker.autoscaling.enabled (not .worker.enabled) }}
{{- fail "worker.autoscaling.enabled needs worker.enabled" }}
{{- end }}
{{- if .worker.enabled }}
{{- if not (include "mkd.hasAddress" .queue) }}
{{- fail "workers need queue.url or queue.secretName" }}
{{- end }}
{{- if .worker.autoscaling.enabled }}
{{- if not (or .queue.url .worker.autoscaling.redisAddress) }}
{{- fail "worker.autoscaling needs worker.autoscaling.redisAddress if queue.url is in a secret: KEDA asks Redis by itself" }}
{{- end }}
{{- if and (contains "@" .queue.url) (not .worker.autoscaling.authenticationRef) }}
{{- fail "worker.autoscaling needs worker.autoscaling.authenticationRef: KEDA does not take the password of queue.url" }}
{{- end }}
{{- if gt (int .worker.autoscaling.minReplicas) (int .worker.autoscaling.maxReplicas) }}
{{- fail "worker.autoscaling.minReplicas must not be more than worker.autoscaling.maxReplicas" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
