{{/*
What the schema cannot tell: combinations that would render and then fail, or do something else than was meant.
*/}}
{{- define "errgate.validate" -}}
{{- $server := get .Values.config "server" | default dict -}}
{{- range $key, $instead := dict "port" "service.containerPort" "admin" "metrics.port and admin.existingSecret" "workers" "workers" -}}
{{- if hasKey $server $key -}}
{{- fail (printf "config.server.%s: the chart sets it; use %s" $key $instead) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.config "limit_store" -}}
{{- fail "config.limit_store: the chart sets it; use limitStore" -}}
{{- end -}}
{{- if and .Values.existingConfigMap (or .Values.config .Values.vendors .Values.callers) -}}
{{- fail "existingConfigMap: it replaces config, vendors and callers; take one or the other away" -}}
{{- end -}}
{{- if not (or .Values.existingConfigMap .Values.config.vendors) -}}
{{- fail "config.vendors: there is none; name one, as in config.vendors.pixii.base_url=https://api.pixii.ai" -}}
{{- end -}}

{{- $known := include "errgate.knownCredentials" . | fromYaml -}}
{{- range $name, $given := .Values.vendors -}}
{{- if not (hasKey ($.Values.config.vendors | default dict) $name) -}}
{{- fail (printf "vendors.%s: config.vendors has no vendor of this name" $name) -}}
{{- end -}}
{{- $vendor := get $.Values.config.vendors $name -}}
{{- if not (or $given.existingSecret $given.value) -}}
{{- fail (printf "vendors.%s: it needs existingSecret: {name, key}, or value for a trial" $name) -}}
{{- end -}}
{{- if and $given.existingSecret $given.value -}}
{{- fail (printf "vendors.%s: existingSecret and value are both set; take one away" $name) -}}
{{- end -}}
{{- if not (or (hasKey $vendor "credential") $given.header (hasKey $known (include "errgate.normalizer" (list $name $vendor)))) -}}
{{- fail (printf "vendors.%s.header: only the built-in vendors have a usual one; say in which header the credential goes" $name) -}}
{{- end -}}
{{- end -}}

{{- $callers := get .Values.config "callers" -}}
{{- if and .Values.callers $callers (kindIs "string" $callers) -}}
{{- fail "callers: config.callers is open, so that nobody needs a key; take one or the other away" -}}
{{- end -}}
{{- if kindIs "map" $callers -}}
{{- range $name, $caller := $callers -}}
{{- if not (or (hasKey $caller "key_sha256") (hasKey $.Values.callers $name)) -}}
{{- fail (printf "config.callers.%s: nothing says its key; set callers.%s.existingSecret, or key_sha256" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.vendors (not .Values.callers) (not $callers) -}}
{{- fail "callers: vendors has credentials that anyone in the cluster could use; set callers.<name>.existingSecret, or config.callers: open to let anyone in" -}}
{{- end -}}

{{- with .Values.limitStore -}}
{{- if and (or .existingSecret.urlKey .existingSecret.passwordKey) (not .existingSecret.name) -}}
{{- fail "limitStore.existingSecret.name: urlKey or passwordKey names a key of no Secret" -}}
{{- end -}}
{{- if and .existingSecret.name (not (or .existingSecret.urlKey .existingSecret.passwordKey)) -}}
{{- fail "limitStore.existingSecret: say what the Secret holds, urlKey or passwordKey" -}}
{{- end -}}
{{- if and .existingSecret.passwordKey (eq .url "memory") -}}
{{- fail "limitStore.url: there is a password and no store; write redis://host:6379 or rediss://host:6379" -}}
{{- end -}}
{{- end -}}

{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.podMonitor.enabled: the ServiceMonitor is on too, which would double every series; take one away" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "metrics.service.enabled: the ServiceMonitor needs that Service" -}}
{{- end -}}
{{- if eq (int .Values.metrics.port) (int .Values.service.containerPort) -}}
{{- fail "metrics.port: it is service.containerPort too; metrics must not be reachable where traffic is" -}}
{{- end -}}

{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas: it is more than maxReplicas" -}}
{{- end -}}
{{- if not (kindIs "invalid" .Values.terminationGracePeriodSeconds) -}}
{{- if not .Values.existingConfigMap -}}
{{- $needed := include "errgate.neededGrace" . | int64 -}}
{{- if lt (.Values.terminationGracePeriodSeconds | int64) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds: %d s is less than the settings need, %d s (preStop sleep + lameduck + grace + 5), so that running requests would be cut; leave it null, or shorten config.server.shutdown.grace" (.Values.terminationGracePeriodSeconds | int64) $needed) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.service.perVendor.enabled -}}
{{- $seen := dict -}}
{{- range $name, $vendor := .Values.config.vendors -}}
{{- $service := include "errgate.vendorService" (list $ $name) -}}
{{- if hasKey $seen $service -}}
{{- fail (printf "service.perVendor: the vendors %s and %s would share the name %s; rename one" (get $seen $service) $name $service) -}}
{{- end -}}
{{- $_ := set $seen $service $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
