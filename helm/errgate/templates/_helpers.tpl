{{/*
Names: the full name leaves room for the longest suffix of a Service, and the release's name for its label.
*/}}
{{- define "errgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "errgate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $whole .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "errgate.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* The Service of one vendor: list of root context and vendor. Cut names carry a digest, so that two stay two. */}}
{{- define "errgate.vendorService" -}}
{{- $name := printf "%s-%s" (include "errgate.fullname" (index . 0)) (index . 1 | replace "_" "-" | trimSuffix "-") -}}
{{- if gt (len $name) 63 -}}
{{- printf "%s-%s" ($name | trunc 54 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{- define "errgate.serviceAccountName" -}}
{{- default (ternary (include "errgate.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "errgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "errgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "errgate.podSelector" -}}
{{ include "errgate.selectorLabels" . }}
app.kubernetes.io/component: gateway
{{- end -}}

{{/*
Metadata of a resource. Takes root, name, and where they differ: component, namespace, labels, annotations.
*/}}
{{- define "errgate.metadata" -}}
{{- $root := .root -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_" | trunc 63)
  "app.kubernetes.io/managed-by" $root.Release.Service
  "app.kubernetes.io/component" (.component | default "gateway") -}}
{{- $labels = mergeOverwrite (deepCopy $root.Values.commonLabels) (.labels | default dict) $labels (include "errgate.selectorLabels" $root | fromYaml) -}}
{{- $annotations := mergeOverwrite (deepCopy $root.Values.commonAnnotations) (.annotations | default dict) -}}
name: {{ .name | default (include "errgate.fullname" $root) }}
namespace: {{ .namespace | default (include "errgate.namespace" $root) }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "errgate.image" -}}
{{- $registry := (.Values.global | default dict).imageRegistry | default "" -}}
{{- $repository := ternary (printf "%s/%s" (trimSuffix "/" $registry) .Values.image.repository) .Values.image.repository (ne $registry "") -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "errgate.imagePullSecrets" -}}
{{- $all := concat .Values.imagePullSecrets ((.Values.global | default dict).imagePullSecrets | default list) -}}
{{- $named := list -}}
{{- range $all -}}
{{- $named = append $named (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- with uniq $named }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* A mapping without the keys that are null: how OpenShift's users take away a fixed user. */}}
{{- define "errgate.given" -}}
{{- $given := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $given $key $value -}}{{- end -}}
{{- end -}}
{{- toYaml $given -}}
{{- end -}}

{{/* How many pods there can be at most. */}}
{{- define "errgate.mostPods" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | int -}}
{{- end -}}

{{/* How many pods there are at least. */}}
{{- define "errgate.fewestPods" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled | int -}}
{{- end -}}

{{/*
The files below /etc/gateway/secrets, each {name, key, path}: nothing secret stands in the ConfigMap or the environment.
*/}}
{{- define "errgate.secretFiles" -}}
{{- $files := list -}}
{{- range $name, $vendor := .Values.vendors -}}
{{- if $vendor.existingSecret -}}
{{- $files = append $files (dict "name" $vendor.existingSecret.name "key" $vendor.existingSecret.key "path" (printf "vendors/%s" $name)) -}}
{{- else -}}
{{- $files = append $files (dict "name" (printf "%s-trial" (include "errgate.fullname" $)) "key" $name "path" (printf "vendors/%s" $name)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $caller := .Values.callers -}}
{{- range $key := $caller.existingSecret.keys | default (list $caller.existingSecret.key) -}}
{{- $files = append $files (dict "name" $caller.existingSecret.name "key" $key "path" (printf "callers/%s/%s" $name $key)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.admin.existingSecret -}}
{{- if .name -}}{{- $files = append $files (dict "name" .name "key" .key "path" "admin-token") -}}{{- end -}}
{{- end -}}
{{- with .Values.limitStore -}}
{{- if .existingSecret.urlKey -}}
{{- $files = append $files (dict "name" .existingSecret.name "key" .existingSecret.urlKey "path" "limit-store/url") -}}
{{- else if .existingSecret.passwordKey -}}
{{- $files = append $files (dict "name" .existingSecret.name "key" .existingSecret.passwordKey "path" "limit-store/password") -}}
{{- end -}}
{{- if .tls.caSecret.name -}}
{{- $files = append $files (dict "name" .tls.caSecret.name "key" .tls.caSecret.key "path" "limit-store/ca.crt") -}}
{{- end -}}
{{- end -}}
{{- $files = concat $files .Values.secrets.extra -}}
{{- with $files }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* How the built-in vendors want their credential, by normalizer. */}}
{{- define "errgate.knownCredentials" -}}
apixo: {header: Authorization, prefix: "Bearer "}
pikzels: {header: X-Api-Key, prefix: ""}
pixee: {header: X-API-Key, prefix: ""}
pixii: {header: Authorization, prefix: "Bearer "}
{{- end -}}

{{/* The longest `total` that a built-in vendor documents for a route of its own, by normalizer. */}}
{{- define "errgate.knownTotals" -}}
pikzels: 300s
{{- end -}}

{{/* Whose table reads a vendor's errors: list of its name and its settings. */}}
{{- define "errgate.normalizer" -}}
{{- $normalizer := get (index . 1) "normalizer" -}}
{{- if and $normalizer (kindIs "string" $normalizer) -}}
{{- $normalizer -}}
{{- else if kindIs "map" $normalizer -}}
{{- get $normalizer "extends" | default "generic" -}}
{{- else -}}
{{- index . 0 -}}
{{- end -}}
{{- end -}}

{{/* The settings file: `config`, and what the other values say of it. */}}
{{- define "errgate.settings" -}}
{{- include "errgate.validate" . -}}
{{- $settings := deepCopy .Values.config -}}
{{- $server := get $settings "server" | default dict -}}
{{- $host := get $server "host" | default "0.0.0.0" -}}
{{- $token := ternary "${file:/etc/gateway/secrets/admin-token}" "none" (ne .Values.admin.existingSecret.name "") -}}
{{- $shutdown := merge (get $server "shutdown" | default dict) (dict "lameduck" "0s") -}}
{{- $server = mergeOverwrite $server (dict
  "host" $host
  "port" (int64 .Values.service.containerPort)
  "admin" (dict "host" $host "port" (int64 .Values.metrics.port) "token" $token)
  "workers" (int64 .Values.workers)
  "shutdown" $shutdown) -}}
{{- $_ := set $settings "server" $server -}}
{{- $vendors := get $settings "vendors" | default dict -}}
{{- $known := include "errgate.knownCredentials" . | fromYaml -}}
{{- range $name, $given := .Values.vendors -}}
{{- $vendor := get $vendors $name -}}
{{- if not (hasKey $vendor "credential") -}}
{{- $usual := get $known (include "errgate.normalizer" (list $name $vendor)) | default dict -}}
{{- $prefix := ternary $given.prefix $usual.prefix (hasKey $given "prefix") | default "" -}}
{{- $_ := set $vendor "credential" (dict
  "header" ($given.header | default $usual.header)
  "value" (printf "%s${file:/etc/gateway/secrets/vendors/%s}" $prefix $name)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.service.perVendor.enabled -}}
{{- range $name, $vendor := $vendors -}}
{{- $service := include "errgate.vendorService" (list $ $name) -}}
{{- $inside := printf "%s.%s" $service (include "errgate.namespace" $) -}}
{{- $hosts := list $service $inside (printf "%s.svc" $inside) (printf "%s.svc.%s" $inside $.Values.service.perVendor.clusterDomain) -}}
{{- $_ := set $vendor "hosts" (concat (get $vendor "hosts" | default list) $hosts | uniq) -}}
{{- end -}}
{{- end -}}
{{- if $vendors -}}{{- $_ := set $settings "vendors" $vendors -}}{{- end -}}
{{- if .Values.callers -}}
{{- $callers := get $settings "callers" | default dict -}}
{{- range $name, $given := .Values.callers -}}
{{- $digests := list -}}
{{- range $key := $given.existingSecret.keys | default (list $given.existingSecret.key) -}}
{{- $digests = append $digests (printf "${file:/etc/gateway/secrets/callers/%s/%s}" $name $key) -}}
{{- end -}}
{{- $_ := set $callers $name (mergeOverwrite (get $callers $name | default dict) (dict "key_sha256" $digests)) -}}
{{- end -}}
{{- $_ := set $settings "callers" $callers -}}
{{- end -}}
{{- if include "errgate.hasStore" . -}}
{{- $url := .Values.limitStore.url -}}
{{- if .Values.limitStore.existingSecret.urlKey -}}
{{- $url = "${file:/etc/gateway/secrets/limit-store/url}" -}}
{{- else if .Values.limitStore.existingSecret.passwordKey -}}
{{- $scheme := regexFind "^rediss?://" $url -}}
{{- $rest := trimPrefix $scheme $url -}}
{{- $user := regexFind "^[^@]*@" $rest -}}
{{- $name := trimSuffix "@" $user | trimSuffix ":" -}}
{{- $url = printf "%s%s:${file:/etc/gateway/secrets/limit-store/password}@%s" $scheme $name (trimPrefix $user $rest) -}}
{{- end -}}
{{- $store := dict "url" $url "when_away" .Values.limitStore.whenAway -}}
{{- if .Values.limitStore.tls.caSecret.name -}}
{{- $_ := set $store "ca" "/etc/gateway/secrets/limit-store/ca.crt" -}}
{{- end -}}
{{- $_ := set $settings "limit_store" $store -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* Whether limits are counted in a store outside the pods. */}}
{{- define "errgate.hasStore" -}}
{{- if or (ne .Values.limitStore.url "memory") .Values.limitStore.existingSecret.urlKey -}}true{{- end -}}
{{- end -}}

{{/* A duration of the settings in milliseconds; what stands in for it comes from elsewhere and cannot be computed. */}}
{{- define "errgate.milliseconds" -}}
{{- $text := toString . -}}
{{- if not (regexMatch "^[0-9]{1,9}(\\.[0-9]{1,6})?(ms|s|m|h)$" $text) -}}
{{- fail (printf "config: %q is no duration that the chart can compute with; set terminationGracePeriodSeconds" $text) -}}
{{- end -}}
{{- $unit := regexFind "[a-z]+$" $text -}}
{{- mulf (trimSuffix $unit $text | float64) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit) | ceil | int64 -}}
{{- end -}}

{{/* The longest `total` of any vendor or route, in milliseconds. */}}
{{- define "errgate.longestTotal" -}}
{{- $known := include "errgate.knownTotals" . | fromYaml -}}
{{- $longest := 0 -}}
{{- range $name, $vendor := .Values.config.vendors -}}
{{- $longest = max $longest (include "errgate.milliseconds" ((get $vendor "timeouts" | default dict).total | default "300s") | int64) -}}
{{- with get $known (include "errgate.normalizer" (list $name $vendor)) -}}
{{- $longest = max $longest (include "errgate.milliseconds" . | int64) -}}
{{- end -}}
{{- $routes := get $vendor "routes" | default list -}}
{{- if kindIs "map" (get $vendor "normalizer") -}}
{{- $routes = concat $routes (get $vendor.normalizer "routes" | default list) -}}
{{- end -}}
{{- range $routes -}}
{{- with (.timeouts | default dict).total -}}
{{- $longest = max $longest (include "errgate.milliseconds" . | int64) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $longest -}}
{{- end -}}

{{/*
How long a pod may take to end, in seconds: the sleep before SIGTERM, lameduck, grace (the longest `total` and 5 s for
the reply's body), and 5 s to end.
*/}}
{{- define "errgate.neededGrace" -}}
{{- if .Values.existingConfigMap -}}
{{- add .Values.shutdown.preStopSleepSeconds 310 -}}
{{- else -}}
{{- $shutdown := (get .Values.config "server" | default dict).shutdown | default dict -}}
{{- $lameduck := include "errgate.milliseconds" ($shutdown.lameduck | default "0s") | int64 -}}
{{- $grace := 0 -}}
{{- if $shutdown.grace -}}
{{- $grace = include "errgate.milliseconds" $shutdown.grace | int64 -}}
{{- else -}}
{{- $grace = add (include "errgate.longestTotal" . | int64) 5000 -}}
{{- end -}}
{{- $sleep := ternary 0 (.Values.shutdown.preStopSleepSeconds | int64) (gt (len .Values.lifecycle) 0) -}}
{{- add $sleep 5 (divf (add $lameduck $grace) 1000 | ceil | int64) -}}
{{- end -}}
{{- end -}}

{{- define "errgate.terminationGracePeriodSeconds" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- include "errgate.neededGrace" . -}}
{{- else -}}
{{- .Values.terminationGracePeriodSeconds | int64 -}}
{{- end -}}
{{- end -}}

{{/* Environment variables, one of each name: what comes later wins (server-side apply refuses a name twice). */}}
{{- define "errgate.env" -}}
{{- $names := list -}}
{{- $byName := dict -}}
{{- $own := list -}}
{{- if gt (int .Values.workers) 1 -}}
{{- $own = list (dict "name" "TMPDIR" "value" "/run/errgate") -}}
{{- end -}}
{{- range concat $own .Values.extraEnv -}}
{{- if not (hasKey $byName .name) -}}{{- $names = append $names .name -}}{{- end -}}
{{- $_ := set $byName .name . -}}
{{- end -}}
{{- $env := list -}}
{{- range $names -}}{{- $env = append $env (get $byName .) -}}{{- end -}}
{{- with $env }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Peers of a namespace by its name. */}}
{{- define "errgate.namespaces" -}}
{{- range . }}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ . }}
{{- end }}
{{- end -}}
