/** Waits for the work, but no longer than this. */
export async function within(limitMs: number, work: Promise<unknown>): Promise<void> {
	let timer: NodeJS.Timeout | undefined;
	const limit = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, limitMs);
	});
	try {
		await Promise.race([work.catch(() => undefined), limit]);
	} finally {
		clearTimeout(timer);
	}
}
