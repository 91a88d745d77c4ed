/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Masks: parsing and numbering.
 *
 * A mask is a set of bytes for each place. The number of a name is its digits in a mixed radix, the
 * first place being the most significant.
 */

#include "lookup/mask-places.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define SIGNS " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

static const struct {
	char letter;
	const char *bytes;
} built_in[] = {
	{ 'l', LOWER },
	{ 'u', UPPER },
	{ 'd', DIGITS },
	{ 'h', DIGITS "abcdef" },
	{ 'H', DIGITS "ABCDEF" },
	{ 's', SIGNS },
	{ 'a', LOWER UPPER DIGITS SIGNS },
};

static void place_add(struct mask_place *place, unsigned char byte)
{
	if (memchr(place->bytes, byte, place->count))
		return;
	place->bytes[place->count++] = byte;
}

/* Add what ?@letter stands for; false when it stands for nothing. */
static bool place_add_set(struct mask_place *place, char letter,
			  const struct mask_place custom[MASK_CUSTOM_COUNT])
{
	if (letter == '?') {
		place_add(place, '?');
		return true;
	}
	if (letter == 'b') {
		for (unsigned byte = 0; byte < 256; byte++)
			place_add(place, (unsigned char)byte);
		return true;
	}
	for (size_t i = 0; i < VS_COUNT(built_in); i++) {
		if (built_in[i].letter != letter)
			continue;
		for (const char *p = built_in[i].bytes; *p != '\0'; p++)
			place_add(place, (unsigned char)*p);
		return true;
	}
	if (letter >= '1' && letter < '1' + MASK_CUSTOM_COUNT) {
		const struct mask_place *set = &custom[letter - '1'];

		for (size_t i = 0; i < set->count; i++)
			place_add(place, set->bytes[i]);
		return set->count > 0;
	}
	return false;
}

/* Take one place from the head of *@text into @place. @whole is for the error. */
static int parse_place(const char *whole, const char **text, struct mask_place *place,
		       const struct mask_place custom[MASK_CUSTOM_COUNT], struct vs_err *err)
{
	const char *p = *text;

	if (*p != '?') {
		place_add(place, (unsigned char)*p);
		*text = p + 1;
		return 0;
	}
	if (p[1] == '\0')
		return vs_fail(err, VS_EUSAGE,
			       "mask %s: a question mark at the end (write it twice)", whole);
	if (!place_add_set(place, p[1], custom)) {
		if (p[1] >= '1' && p[1] < '1' + MASK_CUSTOM_COUNT)
			return vs_fail(err, VS_EUSAGE,
				       "mask %s: ?%c is used, and custom charset %c is not given",
				       whole, p[1], p[1]);
		return vs_fail(err, VS_EUSAGE, "mask %s: no such set as ?%c at character %td",
			       whole, p[1], p - whole + 1);
	}
	*text = p + 2;
	return 0;
}

static int parse_custom(const char *const texts[MASK_CUSTOM_COUNT],
			struct mask_place custom[MASK_CUSTOM_COUNT], struct vs_err *err)
{
	for (size_t i = 0; i < MASK_CUSTOM_COUNT; i++) {
		const char *p = texts[i];

		if (!p)
			continue;
		if (*p == '\0')
			return vs_fail(err, VS_EUSAGE, "custom charset %zu is empty", i + 1);
		while (*p != '\0') {
			int r = parse_place(texts[i], &p, &custom[i], custom, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int mask_parse(struct mask **out, const char *text,
	       const char *const custom_texts[MASK_CUSTOM_COUNT], struct vs_err *err)
{
	cleanup_(mask_freep) struct mask *mask = vs_alloc(sizeof(*mask));
	struct mask_place custom[MASK_CUSTOM_COUNT] = { 0 };
	int r;

	mask->size = 1;
	if (custom_texts) {
		r = parse_custom(custom_texts, custom, err);
		if (r < 0)
			return r;
	}
	if (*text == '\0')
		return vs_fail(err, VS_EUSAGE, "the mask is empty");
	for (const char *p = text; *p != '\0';) {
		struct mask_place *place = &mask->places[mask->len];

		if (mask->len == MASK_LEN_MAX)
			return vs_fail(err, VS_ELIMIT, "the mask has more than %d places",
				       MASK_LEN_MAX);
		r = parse_place(text, &p, place, custom, err);
		if (r < 0)
			return r;
		if (__builtin_mul_overflow(mask->size, place->count, &mask->size))
			return vs_fail(err, VS_ELIMIT, "mask %s: stands for 2^64 names or more",
				       text);
		mask->len++;
	}
	*out = VS_TAKE(mask);
	return 0;
}

void mask_freep(struct mask **mask)
{
	free(*mask);
	*mask = NULL;
}

uint64_t mask_size(const struct mask *mask)
{
	return mask->size;
}

size_t mask_len(const struct mask *mask)
{
	return mask->len;
}

void mask_at(const struct mask *mask, uint64_t index, unsigned char *out)
{
	assert(index < mask->size);
	for (size_t i = mask->len; i-- > 0;) {
		const struct mask_place *place = &mask->places[i];

		out[i] = place->bytes[index % place->count];
		index /= place->count;
	}
}

uint64_t mask_index(const struct mask *mask, const unsigned char *name)
{
	uint64_t index = 0;

	for (size_t i = 0; i < mask->len; i++) {
		const struct mask_place *place = &mask->places[i];
		const unsigned char *found = memchr(place->bytes, name[i], place->count);

		assert(found);
		index = index * place->count + (uint64_t)(found - place->bytes);
	}
	return index;
}
