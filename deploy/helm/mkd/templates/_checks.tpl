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
{{- if and (include "mkd.hasAddress" .results) (eq .results.url .queue.url) (eq .results.secretName .queue.secretName) (eq .results.secretKey .queue.secretKey) }}
{{- fail "results and queue need a Redis each: one drops what does not fit, the other must keep everything" }}
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
{{- if and (eq .autoscaling.kind "hpa") (lt (int .autoscaling.minReplicas) 1) }}
{{- fail "autoscaling.minReplicas must be at least 1 with hpa" }}
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
