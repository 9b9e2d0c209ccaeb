// Checked by `make page`: the module that replaces the server's API has all its exports, with the same types.

import * as local from "./api.js";
import type * as server from "../api.js";

export const same: typeof server = local;
