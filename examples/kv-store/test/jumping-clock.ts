/** Loaded before the program: a wall clock that somebody sets again and again, by hours and days. */
const HOUR_MS = 3_600_000;
const SHIFTS_MS = [0, 2 * HOUR_MS, -48 * HOUR_MS, 0, -HOUR_MS / 2, 24 * HOUR_MS];
const EVERY_MS = 700;

const now = Date.now.bind(Date);
// By a clock that nobody sets, and from another step on in each process.
const firstStep = process.pid % SHIFTS_MS.length;
Date.now = () => now() + (SHIFTS_MS[(firstStep + Math.floor(performance.now() / EVERY_MS)) % SHIFTS_MS.length] ?? 0);
