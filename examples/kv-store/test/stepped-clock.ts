/** Loaded before the program: SIGUSR2 sets its wall clock, each time to another hour or day. */
const HOUR_MS = 3_600_000;
const SHIFTS_MS = [2 * HOUR_MS, -48 * HOUR_MS, 0, -HOUR_MS / 2, 24 * HOUR_MS, 0];

const now = Date.now.bind(Date);
let step = -1;
Date.now = () => now() + (SHIFTS_MS[step % SHIFTS_MS.length] ?? 0);
process.on('SIGUSR2', () => step++);
