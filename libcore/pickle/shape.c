/* SPDX-License-Identifier: Apache-2.0 */

/* What the dictionaries of index metadata hold. */

#include "pickle/machine.h"

enum key {
	KEY_ID_TO_LABEL = PICKLE_ID_TO_LABEL,
	KEY_LABEL_TO_ID = PICKLE_LABEL_TO_ID,
	KEY_ID_TO_SEQ_ID = PICKLE_ID_TO_SEQ_ID,
	KEY_DIMENSIONALITY,
	KEY_TOTAL_ELEMENTS_ADDED,
	KEY_MAX_SEQ_ID,
	KEYS,
};

static const char *const key_names[KEYS] = {
	[KEY_ID_TO_LABEL] = "id_to_label",
	[KEY_LABEL_TO_ID] = "label_to_id",
	[KEY_ID_TO_SEQ_ID] = "id_to_seq_id",
	[KEY_DIMENSIONALITY] = "dimensionality",
	[KEY_TOTAL_ELEMENTS_ADDED] = "total_elements_added",
	[KEY_MAX_SEQ_ID] = "max_seq_id",
};

/* KEYS where the text is none of them. */
static int find_key(struct slice text)
{
	int i;

	for (i = 0; i < KEYS; i++)
		if (slice_eq_str(text, key_names[i]))
			break;
	return i;
}

int pickle_shape_role(struct pickle_machine *m, uint64_t off, int *role)
{
	const struct pickle_value *top = m->depth > 0 ? &m->stack[m->depth - 1] : NULL;
	const struct pickle_value *below = m->depth > 1 ? top - 1 : NULL;
	int key;

	if (top == NULL || (top->kind == PICKLE_OBJECT && m->depth == 1)) {
		*role = PICKLE_ROLE_STATE;
		return 0;
	}
	if (below != NULL && below->kind == PICKLE_MARK)
		below--;
	if (top->kind != PICKLE_TEXT || below == NULL || below->kind != PICKLE_DICT)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, off,
				     "a dictionary where index metadata has none");
	*role = PICKLE_ROLE_UNKNOWN;
	if (below->role != PICKLE_ROLE_STATE)
		return 0;
	key = find_key(top->text);
	if (key >= PICKLE_MAPS)
		return 0;
	if (m->meta->maps[key].is_there)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, off, "a second \"%s\"", key_names[key]);
	*role = key;
	m->meta->maps[key].is_there = true;
	m->meta->maps[key].off = off;
	return 0;
}

static int take_integer(struct pickle_machine *m, int key, const struct pickle_value *value)
{
	struct pickle_meta *meta = m->meta;
	struct pickle_integer *out = key == KEY_DIMENSIONALITY ? &meta->dimensionality
				     : key == KEY_MAX_SEQ_ID   ? &meta->max_seq_id
							       : &meta->total_elements_added;

	if (value->kind != PICKLE_INTEGER && value->kind != PICKLE_NONE)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, value->off, "\"%s\" is no integer",
				     key_names[key]);
	out->is_set = value->kind == PICKLE_INTEGER;
	out->value = value->number;
	out->off = value->off;
	return 0;
}

static int state_item(struct pickle_machine *m, const struct pickle_value *key,
		      const struct pickle_value *value)
{
	int known;

	if (key->kind != PICKLE_TEXT)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, key->off,
				     "a key of the outer dictionary is no text");
	known = find_key(key->text);
	if (known == KEYS) {
		if (m->meta->unknown_keys < UINT32_MAX)
			m->meta->unknown_keys++;
		return 0;
	}
	if ((m->keys_seen & (uint32_t)1 << known) != 0)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, key->off, "a second \"%s\"",
				     key_names[known]);
	m->keys_seen |= (uint32_t)1 << known;
	if (known >= PICKLE_MAPS)
		return take_integer(m, known, value);
	if (value->kind != PICKLE_DICT || value->role != known)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, value->off, "\"%s\" is no dictionary",
				     key_names[known]);
	m->meta->maps[known].is_whole = true;
	return 0;
}

static int map_item(struct pickle_machine *m, int map, const struct pickle_value *key,
		    const struct pickle_value *value)
{
	bool is_by_label = map == PICKLE_LABEL_TO_ID;
	const struct pickle_value *id = is_by_label ? value : key;
	const struct pickle_value *number = is_by_label ? key : value;
	const struct pickle_entry entry = {
		.map = (enum pickle_map)map,
		.id = id->text,
		.number = number->number,
		.off = key->off,
	};

	if (id->kind != PICKLE_TEXT || number->kind != PICKLE_INTEGER)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, key->off,
				     "an item of \"%s\" is not text and integer", key_names[map]);
	m->meta->maps[map].count++;
	return m->sink != NULL ? m->sink->entry(m->sink->ctx, &entry, m->err) : 0;
}

int pickle_shape_item(struct pickle_machine *m, const struct pickle_value *dict,
		      const struct pickle_value *key, const struct pickle_value *value)
{
	if (key->kind != PICKLE_TEXT && key->kind != PICKLE_INTEGER && key->kind != PICKLE_NONE &&
	    key->kind != PICKLE_OTHER)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, key->off,
				     "a key that index metadata never has");
	if (dict->role == PICKLE_ROLE_STATE)
		return state_item(m, key, value);
	if (dict->role < PICKLE_MAPS)
		return map_item(m, dict->role, key, value);
	return 0;
}

int pickle_shape_finish(struct pickle_machine *m, const struct pickle_value *value, uint64_t off)
{
	static const int needed[] = { KEY_ID_TO_LABEL, KEY_LABEL_TO_ID, KEY_TOTAL_ELEMENTS_ADDED };
	bool is_state = value->kind == PICKLE_DICT && value->role == PICKLE_ROLE_STATE;
	bool is_built = value->kind == PICKLE_OBJECT && value->is_built;

	if (!is_state && !is_built)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, off, "the value is no index metadata");
	for (size_t i = 0; i < VS_COUNT(needed); i++)
		if ((m->keys_seen & (uint32_t)1 << needed[i]) == 0)
			return pickle_refuse(m, PICKLE_FAULT_SHAPE, off, "\"%s\" is missing",
					     key_names[needed[i]]);
	m->meta->is_class = is_built;
	return 0;
}
