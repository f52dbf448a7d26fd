// @vitest-environment happy-dom
// What the explorer's own views show and do, on the example network.
import { screen, waitFor, within } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import { short, text } from "../model/numbers";
import { SUBJECT, TRUNK, valueOf, valuesOf } from "../source/example";
import { FakeSource } from "../source/fake";
import { addressSays, click, mainText, open, press, says } from "../testing";

const PASS = { image: "data-3", target: null, off: [] };
const announced = (): string => document.querySelector("[aria-live]")?.textContent ?? "";
const panelText = (): string =>
  (document.querySelector("aside")?.textContent ?? "").replace(/\s+/g, " ");

describe("the network", () => {
  it("has a row for every layer; arrow keys move between them", async () => {
    await open("image=data-2");
    const names = [...document.querySelectorAll<HTMLElement>("[data-layer]")];
    expect(names.map((row) => row.dataset["layer"])).toEqual(SUBJECT.layers.map((one) => one.name));
    names[0]?.focus();
    await press("ArrowDown");
    await press("ArrowDown");
    expect((document.activeElement as HTMLElement).dataset["layer"]).toBe("relu");
    (document.activeElement as HTMLElement).click();
    await addressSays("view=layer&image=data-2&layer=relu");
    await press("Escape");
    await waitFor(() => expect(location.search).not.toContain("view="));
  });

  it("without a head has maps and no classes", async () => {
    await open("image=data-3", new FakeSource({}, TRUNK));
    await says("a backbone, without classes");
    await click("Classifier");
    await says("There is no classifier");
    await click("Pathways");
    await says("A pathway leads to the logit of a class.");
    await click("Shift");
    await says("This network is a backbone: it does not predict a class");
    expect(document.querySelector("aside ol.bars")).toBeNull();
  });
});

describe("the tabs", () => {
  it("are the views of the whole network, in order", async () => {
    await open("view=channel&layer=conv");
    const tabs = within(screen.getByRole("navigation", { name: "Views" })).getAllByRole("button");
    expect(tabs.slice(0, -1).map((tab) => tab.textContent)).toEqual([
      "Network",
      "Classifier",
      "Pathways",
      "Shift",
      "Kernel",
    ]);
    await waitFor(() => expect(document.title).toBe("Channel · conv · example · convscope"));
  });
});

describe("a layer", () => {
  it("that does not exist has a link back", async () => {
    await open("view=layer&layer=nowhere&image=data-3");
    await says("This network has no layer nowhere.");
    await click("Go to the network");
    await waitFor(() => expect(document.querySelector("[data-layer]")).not.toBeNull());
  });

  it("of maps is browsed by keys", async () => {
    await open("view=layer&layer=conv&image=data-3");
    const list = await screen.findByRole("listbox");
    await waitFor(() => expect(screen.getAllByRole("option")).toHaveLength(4));
    list.focus();
    await press("ArrowRight");
    await addressSays("unit=1");
    await waitFor(() => expect(announced()).toContain("channel 1, from "));
    const active = document.getElementById(list.getAttribute("aria-activedescendant") ?? "");
    expect(active?.getAttribute("aria-selected")).toBe("true");
    await press("End");
    await addressSays("unit=3");
    await press("o");
    await screen.findByRole("option", { name: "channel 3, off" });
    await waitFor(() => expect(panelText()).toContain("1 unit is switched off"));
    await says("zero everywhere");
    await press("o");
    await screen.findByRole("option", { name: "channel 3" });
    await press("Enter");
    await addressSays("view=channel&image=data-3&layer=conv&unit=3");
    await press("Escape");
    await addressSays("view=layer&image=data-3&layer=conv&unit=3");
  });

  it("of units shows their values", async () => {
    await open("view=layer&layer=flatten&image=data-3&unit=1");
    const { means } = valuesOf(PASS, "flatten");
    await says(text(means[1]));
    const written = screen.getAllByRole("option").map((one) => one.querySelector(".number"));
    expect(written.map((one) => one?.textContent)).toEqual(means.map((mean) => short(mean)));
  });

  it("of logits shows the class names, and opens a unit", async () => {
    await open("view=layer&layer=fc&image=data-3");
    const { means } = valuesOf(PASS, "fc");
    await says(short(means[0]));
    const rows = screen.getAllByRole("option").map((one) => one.textContent?.split(/\s+/));
    expect(rows.map((words) => words?.filter(Boolean))).toEqual(
      SUBJECT.classes.map((name, unit) => [name, short(means[unit])]),
    );
    screen.getAllByRole("option")[2]?.click();
    await addressSays("view=channel&image=data-3&layer=fc&unit=2");
  });

  it("of one number has a link to its formula", async () => {
    await open("view=layer&layer=cross_entropy&image=data-3");
    await says(text(valueOf(PASS, "cross_entropy", [])));
    await click("Show the formula");
    await addressSays("view=number&image=data-3&layer=cross_entropy");
  });
});

describe("a channel", () => {
  it("that does not exist has a link to the nearest", async () => {
    await open("view=channel&layer=conv&unit=600&image=data-3");
    await says("There is no channel 600 in conv");
    await click("Go to channel 3");
    await addressSays("unit=3");
    await screen.findByRole("button", { name: /^Map of conv, channel 3/ });
  });

  it("shows the last position for one outside the map", async () => {
    await open("view=channel&layer=conv&unit=1&at=99,99&image=data-3");
    await says("row 7, column 7");
  });

  it("can be changed and switched off by keys", async () => {
    await open("view=channel&layer=conv&unit=2&image=data-3");
    await screen.findByRole("button", { name: "Next channel" });
    await press("]");
    await addressSays("unit=3");
    expect(announced()).toBe("channel 3");
    expect(screen.getByRole("button", { name: "Next channel" })).toHaveProperty("disabled", true);
    await press("]");
    expect(location.search).toContain("unit=3");
    await press("o");
    await addressSays('off=[["conv",3]]');
    await click("Switch this channel on");
    await waitFor(() => expect(location.search).not.toContain("off="));
  });
});

describe("a number", () => {
  it.each([
    ["layer=conv&at=99,3", "its rows are 0 to 7", "Go to the nearest number"],
    ["layer=conv&unit=77", "its channels are 0 to 3", "Go to the nearest number"],
    ["layer=fc&unit=5", "its units are 0 to 4", "Go to the nearest number"],
    ["layer=blok", "no layer blok", "Go to the network"],
    ["layer=conv&at=1,1&tab=5", "reads input channels 0 to 2", "Go to the nearest channel"],
  ])("that does not exist, %s, is reported, with a link back", async (address, message, link) => {
    await open(`view=number&${address}&image=data-3`);
    await says(message);
    await click(link);
    await waitFor(() => expect(mainText()).not.toContain(message));
    if (link !== "Go to the network") await screen.findByTestId("value");
  });

  it("of a switched-off unit is zero", async () => {
    await open('view=number&layer=conv&unit=2&at=3,3&image=data-3&off=[["conv",2]]');
    expect((await screen.findByTestId("value")).textContent).toBe("0");
    await says("this unit is switched off");
  });

  it("of a vector: keys move by units", async () => {
    await open("view=number&layer=fc&unit=1&at=0,0&image=data-3");
    await screen.findByTestId("value");
    await press("ArrowRight");
    await says("unit 2, cat");
    await press("End");
    await says("unit 4, emu");
    await waitFor(() =>
      expect(screen.getByTestId("value").textContent).toBe(text(valueOf(PASS, "fc", [4]))),
    );
  });

  it("of a map: keys move the position and the input channel", async () => {
    await open("view=number&layer=conv&unit=2&at=3,4&tab=1&image=data-3");
    await screen.findByTestId("value");
    for (const [key, place] of [
      ["ArrowRight", "row 3, column 5"],
      ["ArrowDown", "row 4, column 5"],
      ["ArrowLeft", "row 4, column 4"],
      ["ArrowUp", "row 3, column 4"],
      ["End", "row 3, column 7"],
      ["ArrowRight", "row 3, column 7"],
      ["Home", "row 3, column 0"],
    ] as const) {
      await press(key, document.body);
      await says(`channel 2, ${place}`);
    }
    await waitFor(() => expect(announced()).toContain("channel 2, row 3, column 0"));
    for (const [key, channel] of [
      ["]", "tab=2"],
      ["]", "tab=2"],
      ["[", "tab=1"],
    ] as const) {
      await press(key, document.body);
      await addressSays(channel);
    }
  });
});

describe("the classifier", () => {
  it("can switch all units on at once", async () => {
    await open('view=classifier&image=data-3&off=[["flatten",1],["flatten",2]]');
    const group = await screen.findByRole("group", { name: "Units that are switched off" });
    within(group).getByRole("button", { name: "Switch all on" }).click();
    await waitFor(() => expect(location.search).not.toContain("off="));
    await waitFor(() =>
      expect(screen.queryByRole("group", { name: "Units that are switched off" })).toBeNull(),
    );
  });

  it("highlights a logit with its probability and its term", async () => {
    await open("view=classifier&image=data-3");
    const logit = await screen.findByRole("button", { name: /^cat .*: logit/ });
    logit.focus();
    await waitFor(() =>
      expect(document.querySelector("[data-share='2'].highlighted")).not.toBeNull(),
    );
    expect(document.querySelector("[data-edge='2'].highlighted")).not.toBeNull();
    expect(document.querySelector("[data-term='2'].highlighted")).not.toBeNull();
    logit.blur();
    await waitFor(() => expect(document.querySelector("[data-share='2'].highlighted")).toBeNull());
  });
});

describe("without an image", () => {
  const empty = (): FakeSource => new FakeSource({}, { ...SUBJECT, first: null });

  it.each(["view=classifier", "view=layer&layer=conv", "view=number&layer=conv&at=0,0"])(
    "%s offers to choose one",
    async (address) => {
      const { explorer } = await open(address, empty());
      await says("No image is loaded");
      const choices = screen.getAllByRole("button", { name: "Choose an image" });
      choices.at(-1)?.click();
      expect(explorer.choosingImage).toBe(true);
    },
  );

  it("the network is shown", async () => {
    await open("view=network", empty());
    await says(SUBJECT.title);
  });
});

describe("the dialog", () => {
  it("marks misclassified images and opens one", async () => {
    await open("image=data-1");
    await click("Choose an image");
    await waitFor(() => expect(document.querySelectorAll("dialog li button")).toHaveLength(5));
    // Every image is predicted as class 1; only the image of class 1 is correct.
    await waitFor(() => expect(document.querySelectorAll("dialog .wrong")).toHaveLength(4));
    document.querySelectorAll<HTMLElement>("dialog li button")[4]?.click();
    await addressSays("image=data-4");
    await waitFor(() => expect(document.querySelector("dialog")?.open).toBe(false));
    await waitFor(() => expect(panelText()).toContain("data-4.png"));
  });
});
