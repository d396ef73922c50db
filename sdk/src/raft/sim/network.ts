/** A network that delays, loses, duplicates and reorders, and whose links can be cut in one direction. */
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

export interface NetworkWeather {
	readonly delayMs: readonly [low: number, high: number];
	readonly lossRate: number;
	readonly duplicateRate: number;
	/** Part of the messages that take ten times as long: others overtake them. */
	readonly straggleRate: number;
}

export class Network<Packet> {
	weather: NetworkWeather;
	readonly #random: Random;
	readonly #schedule: Schedule;
	readonly #deliver: (from: number, to: number, packet: Packet) => void;
	readonly #cut = new Set<string>();

	constructor(
		random: Random,
		schedule: Schedule,
		weather: NetworkWeather,
		deliver: (from: number, to: number, packet: Packet) => void,
	) {
		this.#random = random;
		this.#schedule = schedule;
		this.weather = weather;
		this.#deliver = deliver;
	}

	/** Cuts one direction. */
	cut(from: number, to: number): void {
		this.#cut.add(`${from}>${to}`);
	}

	heal(): void {
		this.#cut.clear();
	}

	/** False when the packet is lost already; a true one may still be. */
	send(from: number, to: number, packet: Packet): boolean {
		const copies = this.#random.chance(this.weather.duplicateRate) ? 2 : 1;
		let isUnderWay = false;
		for (let i = 0; i < copies; i++) {
			if (this.#random.chance(this.weather.lossRate) || this.#isCut(from, to)) continue;
			isUnderWay = true;
			this.#schedule.after(this.#delayMs(), () => {
				if (!this.#isCut(from, to)) this.#deliver(from, to, packet);
			});
		}
		return isUnderWay;
	}

	#isCut(from: number, to: number): boolean {
		return this.#cut.size > 0 && this.#cut.has(`${from}>${to}`);
	}

	#delayMs(): number {
		const [low, high] = this.weather.delayMs;
		const delayMs = low + this.#random() * (high - low);
		return this.#random.chance(this.weather.straggleRate) ? delayMs * 10 : delayMs;
	}
}
