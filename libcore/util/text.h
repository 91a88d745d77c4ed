/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Text: hexadecimal, UTF-8, numbers and sizes as people type them
 */

/* Write 2 * @len lower-case digits and a NUL to @out. */
void hex_format(const void *bytes, size_t len, char *out);

/* Read exactly 2 * @len digits of either case from @text. Returns false when it is anything else.
 */
must_check_ bool hex_parse(struct slice text, unsigned char *out, size_t len);

/* Length of the valid UTF-8 text at the start of @text (RFC 3629: no surrogates, no overlong
 * forms). */
size_t utf8_valid_len(struct slice text);
bool utf8_is_valid(struct slice text);

/*
 * Append @text so that a terminal shows it as it is and cannot be steered by it: control bytes,
 * DEL, C1 controls, bidirectional overrides and invalid UTF-8 become \n, \t, \xNN or \uNNNN, and a
 * backslash is doubled.
 */
void text_escape(struct buf *out, struct slice text);

/*
 * Append @word as a shell reads it, quoted where anything in it is special or would steer a
 * terminal. A word with a NUL in it cannot be given to any program; what is printed for it is of no
 * use.
 */
void text_quote(struct buf *out, struct slice word);

/* A whole decimal number, nothing before or behind it, at most @max. */
must_check_ bool parse_u64(const char *text, uint64_t max, uint64_t *out);

/* Bytes with an optional K, M, G, T (powers of 1024), and i or B behind it: "500M", "1GiB", "4096".
 */
must_check_ bool parse_size(const char *text, uint64_t *out);

/* Seconds, or a number with s, m, h, d, w: "90", "5m", "24h". */
must_check_ bool parse_duration(const char *text, uint64_t *out_s);

/* "1.4 MB" in powers of 1000, three significant digits; for people, never for scripts. */
void size_format(uint64_t bytes, char out[16]);

/*
 * Append "1 document", "22 documents", "no documents"; "2 copies" of a copy, "2 processes". The one
 * place that knows of plurals.
 */
void text_count(struct buf *out, uint64_t count, const char *noun);

/* Number of single-character edits (with transpositions) between two words; for "did you mean". */
unsigned text_distance(const char *a, const char *b);
