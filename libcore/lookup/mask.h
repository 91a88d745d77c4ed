/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * mask: a set of names of one length, written as hashcat writes them
 *
 *	?l a-z   ?u A-Z   ?d 0-9   ?h 0-9a-f   ?H 0-9A-F   ?s space and the other 32 printable signs
 *	?a all of ?l ?u ?d ?s      ?b any byte             ?? a question mark
 *	?1 ?2 ?3 ?4 a set that the user gives
 *	any other byte: itself
 *
 * The names of a mask are numbered from 0; the last place changes fastest. Part of the room's front
 * door.
 */

#include "util/util.h"

/* Places of a mask. */
#define MASK_LEN_MAX 256

#define MASK_CUSTOM_COUNT 4

struct mask;

/*
 * @custom holds the sets of ?1 to ?4, NULL where there is none; @custom itself may be NULL. A set
 * is a list of bytes and of ?l and the like, or of sets before it; doubles count once.
 *
 * Fails with VS_EUSAGE when @text is no mask, and with VS_ELIMIT when it has more than MASK_LEN_MAX
 * places or stands for 2^64 names or more.
 */
must_check_ int mask_parse(struct mask **out, const char *text,
			   const char *const custom[MASK_CUSTOM_COUNT], struct vs_err *err);
void mask_freep(struct mask **mask);

uint64_t mask_size(const struct mask *mask); /* number of names; at least 1 */
size_t mask_len(const struct mask *mask);    /* bytes of each name */

/* Write name number @index < mask_size() to @out, which takes mask_len() bytes. */
void mask_at(const struct mask *mask, uint64_t index, unsigned char *out);
