/** What an attacker's process can be told to do. */
import { captureHost, overheard, plunder, whenCutOff, whereabouts } from './attacks/captured-host.ts';
import { captureReplica, catchUp, disconnect, lead, rejoin } from './attacks/captured-replica.ts';
import { knock } from './attacks/knock.ts';

export const ATTACKS = {
	knock,
	captureHost,
	plunder,
	overheard,
	whenCutOff,
	whereabouts,
	captureReplica,
	catchUp,
	rejoin,
	lead,
	disconnect,
};
