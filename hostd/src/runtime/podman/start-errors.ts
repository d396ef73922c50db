/** Turns Podman's sentences about a failed start into errors with a code and the field to change. Pure. */
import { MeshError } from '@beemesh/sdk/errors';
import type { PodStart } from '../runtime.ts';

export function startError(spec: PodStart, message: string): MeshError {
	const text = message.trim();
	const options = { details: { podman: text } };
	if (/address already in use|port is already allocated|already in use by/i.test(text)) {
		const index = spec.ports.findIndex((port) => new RegExp(`\\b${port.host}\\b`).test(text));
		const port = spec.ports[index];
		const what = port
			? `ports[${index}] (${port.name}): port ${port.hostIp}:${port.host}/${port.protocol}`
			: `ports: one of ${spec.ports.map(({ host, protocol }) => `${host}/${protocol}`).join(', ')}`;
		return new MeshError('conflict', `${what} is already in use on this host`, options);
	}
	if (/no such file or directory|executable file not found|permission denied|command that was not found/i.test(text)) {
		const index = spec.pod.spec.containers.findIndex(({ command, args }) => {
			const program = command?.[0] ?? args?.[0];
			return program !== undefined && text.includes(program);
		});
		if (index >= 0) {
			const program = spec.pod.spec.containers[index]?.command?.[0] ?? '';
			return new MeshError(
				'invalid_input',
				`spec.containers[${index}].command[0]: '${program}' cannot be executed in this image: ${text}`,
				options,
			);
		}
	}
	if (/image not known|no such image|unable to find/i.test(text)) {
		const images = spec.pod.spec.containers.map(({ image }) => image).join(', ');
		return new MeshError('not_found', `an image is missing on this host (${images}): ${text}`, options);
	}
	return new MeshError('internal', `Podman cannot start pod ${spec.podId}: ${text}`, { ...options, applied: 'no' });
}
