/** What both examples need to be programs that serve HTTP, in the absence of a framework. */
export { parseAddress, podAddress } from './address.ts';
export { readBody } from './body.ts';
export { addressFlag, parseFlags, UsageError } from './flags.ts';
export { badRequest, Problem, type ProblemCode } from './problem.ts';
export { aborted, programLog, runProgram } from './program.ts';
export { type Exchange, type Handler, type Route, router, sendBytes, sendJson } from './router.ts';
export { type HttpAddress, type HttpServer, listen } from './server.ts';
export { type SseEvent, type SseOptions, sendEvents } from './sse.ts';
export { listenEarly, type StartingServer } from './starting.ts';
