import { PodmanWorld } from './test/podman-world.ts';
import { PodmanRuntime } from './podman/index.ts';
import { Libpod } from './podman/libpod.ts';
const orig = Libpod.prototype.call;
let out: string[]=[];
Libpod.prototype.call = async function (m: any, p: any, ...r: any[]) { const t=performance.now(); let x:any; try { return x=await orig.call(this,m,p,...r as []);} finally { const d=performance.now()-t; out.push(`   ${m} ${p.slice(0,60)} ${Math.round(d)} ${p.endsWith('/json')&&p.startsWith('/pods')? JSON.stringify(JSON.parse(x.body).Containers?.map((c:any)=>c.State)):''}`); } } as any;
const w = new PodmanWorld(); await w.buildProbeImage('localhost/p:1');
const rt = new PodmanRuntime({ socket: w.socket, spawn: { args: w.args }, instance: 'x' });
rt.events((e) => {});
const mk=(id:string,args:string[])=>({podId:id,pod:{apiVersion:'v1',kind:'Pod',metadata:{name:id,namespace:'d'},spec:{containers:[{name:'main',image:'localhost/p:1',command:['/bin/probe'],args}]}},env:{},socketDir:w.folder,ports:[],volumeNames:{},labels:{}}) as any;
for (let i=0;i<30;i++){ await rt.start(mk('a',[i%2?'idle':'stubborn'])); out=[];const t=performance.now();  await rt.remove('a'); const d=Math.round(performance.now()-t); console.log('remove',d); if (d>900) console.log(out.join('\n'));}
await rt[Symbol.asyncDispose](); await w.close();
