/** Times and sizes for people, in the forms kubectl uses. */

/** `45s`, `3m20s`, `5h`, `12d`: two units while the first is small. */
export function age(ms: number): string {
	const seconds = Math.max(0, Math.floor(ms / 1000));
	if (seconds < 120) return `${seconds}s`;
	const minutes = Math.floor(seconds / 60);
	if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
	if (minutes < 180) return `${minutes}m`;
	const hours = Math.floor(minutes / 60);
	if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
	if (hours < 48) return `${hours}h`;
	return `${Math.floor(hours / 24)}d`;
}

/** `1.5Gi`, `512Mi`, `0`. */
export function bytes(value: number): string {
	const units = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi'];
	let unit = 0;
	let scaled = value;
	while (scaled >= 1024 && unit < units.length - 1) {
		scaled /= 1024;
		unit++;
	}
	return `${scaled >= 100 || Number.isInteger(scaled) ? Math.round(scaled) : scaled.toFixed(1)}${units[unit]}`;
}

/** `2`, `1.5`, `250m`. */
export function cores(cpuMillis: number): string {
	if (cpuMillis % 1000 === 0) return String(cpuMillis / 1000);
	return cpuMillis > 1000 ? (cpuMillis / 1000).toFixed(1) : `${cpuMillis}m`;
}

/** `1 pod`, `3 pods`. */
export function counted(count: number, noun: string): string {
	return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `2027-01-15T08:00:00.000Z (in 29d)`, `… (3m20s ago)`. */
export function when(timeMs: number, nowMs: number): string {
	const distance = timeMs > nowMs ? `in ${age(timeMs - nowMs)}` : `${age(nowMs - timeMs)} ago`;
	const date = new Date(timeMs);
	// A record may hold a time that no calendar has.
	return Number.isNaN(date.getTime()) ? `${timeMs} ms` : `${date.toISOString()} (${distance})`;
}
