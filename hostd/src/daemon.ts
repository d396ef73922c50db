/** Composition root of the daemon: the one reader of argv and environment. */
import { isMeshError } from '@beemesh/sdk/errors';
import { createLogger, createMetrics } from '@beemesh/sdk/telemetry';
import { HELP, type Invocation, readConfig } from './config.ts';
import { makeRequest } from './enrolment/request.ts';
import { startHost } from './host.ts';
import { VERSION } from './version.ts';

let invocation: Invocation;
try {
	invocation = readConfig(process.argv.slice(2), process.env, process.stderr.isTTY === true);
} catch (error) {
	process.stderr.write(`hostd: ${(error as Error).message}\n`);
	process.exit(2);
}

if (invocation.run === 'help') process.stdout.write(HELP);
else if (invocation.run === 'request') await request(invocation);
else if (invocation.run === 'version') process.stdout.write(`hostd ${VERSION} (node ${process.version})\n`);
else await run(invocation.config);

async function request({ config, invite }: Extract<Invocation, { run: 'request' }>): Promise<void> {
	try {
		const { text, machineId, name, mesh } = await makeRequest(config, invite, Date.now());
		process.stdout.write(text);
		process.stderr.write(
			`request of machine ${machineId} (${name})${mesh === undefined ? '' : ` to mesh ${mesh}`}\n` +
				'have it enrolled with `beectl mesh enroll`, and start hostd with --bundle FILE\n',
		);
	} catch (error) {
		process.stderr.write(`hostd: ${(error as Error).message}\n`);
		process.exitCode = isMeshError(error, 'invalid_input') ? 2 : 1;
	}
}

async function run(config: Extract<Invocation, { run: 'host' }>['config']): Promise<void> {
	const logger = createLogger({
		level: config.logLevel,
		format: config.logFormat,
		sink: (line) => process.stderr.write(`${line}\n`),
		nowMs: Date.now,
	});
	// Nothing here is expected to come this far. The pods run on, and the next hostd adopts them.
	const crash = (error: unknown): void => {
		logger.error('hostd failed: please report this', { error: error instanceof Error ? error.stack : String(error) });
		process.exit(1);
	};
	process.on('uncaughtException', crash);
	process.on('unhandledRejection', crash);
	try {
		const host = await startHost({ config, logger, metrics: createMetrics(), nowMs: Date.now });
		let stopping = false;
		const stop = (signal: NodeJS.Signals): void => {
			if (stopping) return;
			stopping = true;
			logger.info('stopping: draining this host', { signal });
			host.stop().then(
				() => process.exit(0),
				(error: unknown) => {
					logger.error('stopping failed', { error });
					process.exit(1);
				},
			);
		};
		process.on('SIGTERM', stop);
		process.on('SIGINT', stop);
	} catch (error) {
		logger.error('hostd cannot start', { error: isMeshError(error) ? error : (error as Error).stack });
		process.exit(isMeshError(error, 'invalid_input') ? 2 : 1);
	}
}
