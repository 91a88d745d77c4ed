/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * restore-archive: `vsctl restore --from-archive`, a store out of one file
 */

#include "change.h"

struct archive_opts {
	const char *file;
	const char *key_file;
	bool gzip;
	bool allow_missing;
};

/* @change has the state directory and whether it is a dry run. Returns the exit status. */
must_check_ int restore_archive(struct app *app, const struct archive_opts *opts,
				const struct change_opts *change, const char *store);
