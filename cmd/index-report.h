/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * index-report: what is known of each vector of the indexes that a plan writes anew
 */

#include "change.h"

extern const struct command cmd_index_check;

/* For change_run(): @ctx is a struct indexes. Of a plan that writes none, nothing is shown. */
void index_report(struct change *c, void *ctx);
