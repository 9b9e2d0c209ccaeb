import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2023, sourceType: "module", globals: { ...globals.browser, L: "readonly" } },
    rules: {
      complexity: ["error", 10],
      eqeqeq: "error",
      "max-depth": ["error", 3],
      "max-len": ["error", { code: 120, comments: 130 }],
      "max-lines": ["error", 350],
      "max-lines-per-function": ["error", 40],
      "no-console": "error",
      "no-unused-vars": ["error", { varsIgnorePattern: "^_$" }],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
];
