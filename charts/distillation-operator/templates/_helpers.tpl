{{/* Name of everything in the release: the release's name, with the chart's unless it says so already. */}}
{{- define "distillation-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "distillation-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "distillation-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "distillation-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: distillation
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "distillation-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "distillation-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is required when serviceAccount.create is false: name an existing ServiceAccount" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* An image reference; a digest wins over the tag, the tag defaults to the chart's appVersion.
     Call with (dict "root" $ "image" .Values.image.operator). */}}
{{- define "distillation-operator.image" -}}
{{- $repository := .image.repository -}}
{{- with .root.Values.image.registry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* "true" when the student's serving runtime is part of the release: KServe's absence must not fail an installation. */}}
{{- define "distillation-operator.servingRuntime" -}}
{{- $enabled := .Values.serving.runtime.enabled | toString -}}
{{- if or (eq $enabled "true") (and (eq $enabled "auto") (.Capabilities.APIVersions.Has "serving.kserve.io/v1alpha1/ClusterServingRuntime")) -}}
true
{{- end -}}
{{- end -}}

{{/* Rights on what the operator works with; the same in a ClusterRole and in each namespace's Role. */}}
{{- define "distillation-operator.rules" -}}
- apiGroups: [distillation.dev]
  resources: [distillationjobs]
  verbs: [get, list, watch, delete]  # delete: policy.ttlAfterFinished
- apiGroups: [distillation.dev]
  resources: [distillationjobs/status]
  verbs: [patch]
- apiGroups: [distillation.dev]
  resources: [distillationjobs/finalizers]
  verbs: [update]  # to own what it makes where OwnerReferencesPermissionEnforcement is on
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create]
- apiGroups: [""]
  resources: [services]
  verbs: [get, create]  # of trainings on several nodes: by it their pods find each other
- apiGroups: [""]
  resources: [events]
  verbs: [create]
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
{{- end -}}

{{/* The operator's settings: one variable for each field of distill_operator.settings.Settings that may be set. */}}
{{- define "distillation-operator.env" -}}
{{- $settings := dict
    "NAMESPACES" (join "," .Values.watchNamespaces)
    "TRAINER_IMAGE" (include "distillation-operator.image" (dict "root" . "image" .Values.image.trainer))
    "IMAGE_PULL_POLICY" .Values.image.pullPolicy
    "ALLOWED_IMAGES" (join "," .Values.training.allowedImages)
    "SERVICE_ACCOUNT" .Values.training.serviceAccount
    "REQUIRE_GPU" .Values.training.requireGpu
    "CHECK_TIMEOUT" .Values.training.checkTimeoutSeconds
    "TERMINATION_GRACE" (int .Values.training.terminationGraceSeconds)
    "GATEWAY_NAME" .Values.serving.gateway.name
    "GATEWAY_NAMESPACE" .Values.serving.gateway.namespace
    "INGRESS_DOMAIN" .Values.serving.ingressDomain
    "SERVING_RUNTIME" .Values.serving.runtime.name
    "WORKERS" (int .Values.tuning.workers)
    "RESYNC" .Values.tuning.resyncSeconds
    "DISCOVERY" .Values.tuning.discoverySeconds
    "PROGRESS_POLL" .Values.tuning.progressPollSeconds
    "STATUS_INTERVAL" .Values.tuning.statusIntervalSeconds
    "REQUEST_TIMEOUT" .Values.tuning.requestTimeoutSeconds
    "RETRY_MAX" .Values.tuning.retryMaxSeconds
    "LEADER_ELECTION" (gt (int .Values.replicas) 1)
    "LEASE_NAME" (include "distillation-operator.fullname" .)
    "LEASE_SECONDS" .Values.tuning.leaseSeconds
    "LOG_LEVEL" .Values.logLevel -}}
{{- range $name, $value := $settings }}
- name: DISTILL_{{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
- name: DISTILL_OPERATOR_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: DISTILL_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end -}}
