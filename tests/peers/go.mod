module vsctl/tests/peers

go 1.19
