/**
 * The form of a manifest as it crosses the mesh: types of what hosts and replicas read of it. Its owner has signed it, which
 * says nothing of its form. Fields that nobody reads may be there; whether a pod may have what it asks for is the policy
 * of its host.
 */
import * as v from 'valibot';
import { kindSchema, nameSchema, safeInt } from './fields.ts';

const texts = v.record(v.string(), v.string());
const port = v.looseObject({
	name: v.optional(v.string()),
	containerPort: safeInt,
	protocol: v.optional(v.picklist(['TCP', 'UDP'])),
	hostPort: v.optional(safeInt),
});
const container = v.looseObject({
	name: v.string(),
	image: v.string(),
	env: v.optional(v.array(v.looseObject({ name: v.string() }))),
	ports: v.optional(v.array(port)),
	resources: v.optional(v.looseObject({ requests: v.optional(texts), limits: v.optional(texts) })),
});
const template = v.looseObject({
	metadata: v.optional(v.looseObject({ labels: v.optional(texts), annotations: v.optional(texts) })),
	spec: v.looseObject({
		containers: v.pipe(v.array(container), v.minLength(1)),
		initContainers: v.optional(v.array(container)),
		volumes: v.optional(v.array(v.looseObject({ name: v.string() }))),
		nodeSelector: v.optional(texts),
	}),
});
const claimTemplate = v.looseObject({
	metadata: v.looseObject({ name: nameSchema }),
	spec: v.looseObject({ resources: v.looseObject({ requests: v.looseObject({ storage: v.string() }) }) }),
});

export const manifestSchema = v.looseObject({
	kind: kindSchema,
	metadata: v.looseObject({ name: nameSchema, namespace: nameSchema }),
	spec: v.looseObject({
		replicas: v.optional(safeInt),
		template,
		volumeClaimTemplates: v.optional(v.array(claimTemplate)),
		persistentVolumeClaimRetentionPolicy: v.optional(texts),
	}),
});
