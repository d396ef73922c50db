import { PodmanWorld } from './test/podman-world.ts';
import { PodmanRuntime } from './podman/index.ts';
const w = new PodmanWorld(); await w.buildProbeImage('localhost/p:1');
const rt = new PodmanRuntime({ socket: w.socket, spawn: { args: w.args }, instance: 'x' });
rt.events((e) => {});
const mk=(id:string,args:string[])=>({podId:id,pod:{apiVersion:'v1',kind:'Pod',metadata:{name:id,namespace:'d'},spec:{containers:[{name:'main',image:'localhost/p:1',command:['/bin/probe'],args}]}},env:{},socketDir:w.folder,ports:[],volumeNames:{},labels:{}}) as any;
for (let i=0;i<30;i++){ await rt.start(mk('a',[i%2?'idle':'stubborn'])); const t=performance.now();  await rt.remove('a'); const d=Math.round(performance.now()-t); process.stdout.write(d+' '); }
console.log();
for (let i=0;i<15;i++){ await rt.start(mk('a',[i%2?'idle':'say'])); const t=performance.now(); if (i%3) await rt.stop('a',1000); await rt.remove('a'); const d=Math.round(performance.now()-t); process.stdout.write(d+' '); }
await rt[Symbol.asyncDispose](); await w.close();
