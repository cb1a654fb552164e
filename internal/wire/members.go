package wire

// Members calls visit for each member of a JSON object, with its unescaped name
// and the bytes of its value, until visit returns an error. Nothing is visited
// where raw is empty.
func Members(raw []byte, visit func(name, value []byte) error) error {
	if len(raw) == 0 {
		return nil
	}
	var refused error
	_, err := walkObject(raw, skipSpace(raw, 0), func(name, value []byte) {
		if refused == nil {
			refused = visit(name, value)
		}
	})
	if err == nil {
		err = refused
	}
	return err
}

// Elements calls visit for the bytes of each element of a JSON array. Nothing
// is visited where raw is empty.
func Elements(raw []byte, visit func(element []byte) error) error {
	if len(raw) == 0 {
		return nil
	}
	i := skipSpace(raw, 0)
	if i >= len(raw) || raw[i] != '[' {
		return &syntaxError{"expected an array", i}
	}
	i = skipSpace(raw, i+1)
	if i < len(raw) && raw[i] == ']' {
		return nil
	}
	for {
		end, err := skipValue(raw, i)
		if err != nil {
			return err
		}
		if err := visit(raw[i:end]); err != nil {
			return err
		}
		i = skipSpace(raw, end)
		switch {
		case i >= len(raw):
			return &syntaxError{"bracket without an end", i}
		case raw[i] == ']':
			return nil
		case raw[i] != ',':
			return &syntaxError{"expected a comma or a closing bracket", i}
		}
		i = skipSpace(raw, i+1)
	}
}
