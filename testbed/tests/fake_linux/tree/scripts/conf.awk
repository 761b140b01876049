# conf.awk Kconfig .config: print the .config that the requests come to. It knows `bool`, `string`,
# one `depends on` of a name, one `select`, and `default`.
FNR == NR {
	if ($1 == "config") { name = $2; names[++n] = name }
	else if ($1 == "string") kind[name] = "string"
	else if ($1 == "depends") needs[name] = $3
	else if ($1 == "select") selects[name] = $2
	else if ($1 == "default") value[name] = $2
	else if ($1 == "bool" && NF > 1) prompt[name] = 1
	next
}
/^CONFIG_[A-Z0-9_]+=/ {
	split($0, part, "=")
	asked[substr(part[1], 8)] = substr($0, index($0, "=") + 1)
}
/^# CONFIG_[A-Z0-9_]+ is not set/ { asked[substr($2, 8)] = "n" }
END {
	for (i = 1; i <= n; i++) {
		name = names[i]
		if (name in asked && (prompt[name] || kind[name] == "string")) value[name] = asked[name]
	}
	for (round = 0; round < n; round++)
		for (i = 1; i <= n; i++) {
			name = names[i]
			if ((name in needs) && value[needs[name]] != "y") value[name] = "n"
			if (value[name] == "y" && (name in selects)) value[selects[name]] = "y"
		}
	for (i = 1; i <= n; i++) {
		name = names[i]
		if (kind[name] == "string") print "CONFIG_" name "=" value[name]
		else if (value[name] == "y") print "CONFIG_" name "=y"
		else print "# CONFIG_" name " is not set"
	}
}
