/** How beectl ends: exit codes, and errors that carry one. */
import { isMeshError, type MeshCode } from '@beemesh/sdk/errors';

export const EXIT = { ok: 0, failed: 1, usage: 2, notFound: 3, unreachable: 4, interrupted: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A failure that beectl itself found, with the code to end with. Each line of the message is printed. */
export class Failure extends Error {
	override readonly name = 'Failure';
	readonly exitCode: ExitCode;

	constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
		super(message, options);
		this.exitCode = exitCode;
	}
}

const BY_CODE: Partial<Record<MeshCode, ExitCode>> = {
	invalid_input: EXIT.usage,
	not_found: EXIT.notFound,
	unavailable: EXIT.unreachable,
	deadline: EXIT.unreachable,
	cancelled: EXIT.interrupted,
};

export function exitCodeOf(error: unknown): ExitCode {
	if (error instanceof Failure) return error.exitCode;
	if (isMeshError(error)) return BY_CODE[error.code] ?? EXIT.failed;
	return EXIT.failed;
}
