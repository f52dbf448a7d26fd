import "@fontsource-variable/inter/wght.css";
import { mount } from "svelte";
import App from "./App.svelte";
import "./style.css";

const place = document.getElementById("page");
if (!place) throw new Error("index.html has no #page");
mount(App, { target: place });
