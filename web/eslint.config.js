// What is checked of the page's code besides its types: usual mistakes, and which part may import
// which. ARCHITECTURE.md says so in words.
import svelte from "eslint-plugin-svelte";
import tseslint from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

/** For each folder of src: the folders that it may import, and those of which only types. */
const IMPORTS = {
  model: [["docs"], ["api"]], // the glossary of the documentation
  draw: [["model"], []],
  ui: [["model", "draw"], ["api"]],
  source: [["model"], ["api"]],
  state: [["model"], ["source", "api"]],
  views: [
    ["state", "draw", "ui", "model"],
    ["source", "api"],
  ],
  lenses: [
    ["state", "draw", "ui", "model"],
    ["source", "api"],
  ],
};

/** Imports of what is in the same folder begin with "./"; all others must be in the table. */
const boundaries = Object.entries(IMPORTS).map(([folder, [values, types]]) => ({
  files: [`src/${folder}/**/*.ts`, `src/${folder}/**/*.svelte`],
  ignores: ["src/**/*.test.ts"],
  rules: {
    "@typescript-eslint/no-restricted-imports": [
      "error",
      {
        patterns: [
          {
            regex: `^\\.\\.(?!/(\\.\\./)*(${[...values, ...types].join("|") || "-"})/)`,
            message: `${folder} may import ${values.join(", ") || "nothing"}, and types of ${types.join(", ") || "nothing"}.`,
          },
          {
            regex: `^(\\.\\./)+(${types.join("|") || "-"})/`,
            allowTypeImports: true,
            message: `${folder} may import only types of ${types.join(", ")}.`,
          },
        ],
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ["src/api/types.ts"] },
  tseslint.configs.recommended,
  svelte.configs.recommended,
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: tseslint.parser, svelteConfig } },
  },
  ...boundaries,
);
