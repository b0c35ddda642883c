{{/*
Every right of the operator. docs/rbac.md is made from it (`make rbac`), and a test compares the two.
*/}}

{{/* In each namespace that it looks after. */}}
{{- define "stowage.rules" -}}
- apiGroups: [stowage.dev]
  resources: [stores, storenamespaces, runtimeconfigsources]
  verbs: [get, list, watch]
# The finalizer of a Store that takes its volume along. It stands in no part of its own, so this is
# the whole Store.
- apiGroups: [stowage.dev]
  resources: [stores]
  verbs: [patch]
- apiGroups: [stowage.dev]
  resources: [stores/status, storenamespaces/status, runtimeconfigsources/status]
  verbs: [get, patch]
# Where the API server checks it, an owner reference that blocks deletion takes this right. A
# finalizer does not: it is written by a patch of the Store.
- apiGroups: [stowage.dev]
  resources: [stores/finalizers, storenamespaces/finalizers, runtimeconfigsources/finalizers]
  verbs: [update]
# Never deleted by the operator: owner references do it, or a person.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [get, list, watch, create, patch]
# Secrets: the tokens and credentials that resources name, and those that the operator makes.
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [get, list, watch, create, patch, delete]
# Deleted with a Store whose deletionPolicy says so.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
# Why a pod or a claim is stuck.
- apiGroups: [""]
  resources: [events]
  verbs: [get, list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* In the whole cluster, for what belongs to no namespace. */}}
{{- define "stowage.clusterRules" -}}
- apiGroups: [storage.k8s.io]
  resources: [storageclasses]
  verbs: [get]
{{- end -}}

{{/* In its own namespace: which replica leads. */}}
{{- define "stowage.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
{{- end -}}

{{/* Of `helm test`: are the kinds served, and their rules? A Store of it is a dry run. */}}
{{- define "stowage.verifyRules" -}}
- apiGroups: [stowage.dev]
  resources: [stores, storenamespaces, runtimeconfigsources]
  verbs: [list]
- apiGroups: [stowage.dev]
  resources: [stores]
  verbs: [create]
{{- end -}}

{{/* Of people, by aggregation to the cluster's own roles. */}}
{{- define "stowage.viewRules" -}}
- apiGroups: [stowage.dev]
  resources: [stores, storenamespaces, runtimeconfigsources]
  verbs: [get, list, watch]
{{- end -}}

{{- define "stowage.editRules" -}}
- apiGroups: [stowage.dev]
  resources: [stores, storenamespaces, runtimeconfigsources]
  verbs: [create, update, patch, delete, deletecollection]
{{- end -}}

{{/* A binding's role and subject: include "stowage.binding" (list . "ClusterRole" NAME) */}}
{{- define "stowage.binding" -}}
{{- $root := index . 0 -}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ index . 1 }}
  name: {{ index . 2 | quote }}
subjects:
  - kind: ServiceAccount
    name: {{ include "stowage.name" $root }}
    namespace: {{ $root.Release.Namespace }}
{{- end -}}
