/** Waits for the work, but no longer than this, and not when the signal says that it is of no use any more. */
export async function within(limitMs: number, work: Promise<unknown>, useless?: AbortSignal): Promise<void> {
	const { promise: over, resolve } = Promise.withResolvers<void>();
	const timer = setTimeout(resolve, limitMs);
	const give = (): void => resolve();
	if (useless?.aborted) resolve();
	useless?.addEventListener('abort', give, { once: true });
	try {
		await Promise.race([work.catch(() => undefined), over]);
	} finally {
		clearTimeout(timer);
		useless?.removeEventListener('abort', give);
	}
}
