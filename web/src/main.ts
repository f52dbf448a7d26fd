import "@fontsource-variable/inter/wght.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { lenses } from "./lenses/catalog";
import { ServerSource } from "./source/server";
import { contextOf } from "./state/context";
import { Explorer } from "./state/explorer.svelte";
import "./style.css";
import { levels } from "./views/catalog";

const target = document.getElementById("page");
if (!target) throw new Error("index.html has no #page");
const explorer = new Explorer(new ServerSource(), [...levels, ...lenses]);
mount(App, { target, context: contextOf(explorer) });
void explorer.start();
