import { Cluster, counter } from './cluster.ts';
for (const seed of [1,2,3,4,5,6]) {
const cluster = new Cluster({ machine: counter, seed });
await cluster.startAll([1,2,3]);
const first = await cluster.elected();
await cluster.run(first.propose({ add: 1 }));
cluster.events.length = 0;
await cluster.crash(first.selfId);
const t0 = cluster.clock.nowMs();
for (const [id, g] of cluster.groups) g.onEvent((e) => console.log(seed, (cluster.clock.nowMs()-t0).toFixed(0), id, e.type, (e as any).role, (e as any).leaderId));
cluster.network.announceLost(first.selfId);
const s = [...cluster.groups.values()][0]!;
const p = await cluster.run(s.propose({ add: 2 }));
console.log('done', p, cluster.clock.nowMs()-t0);
}
