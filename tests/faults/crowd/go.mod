module watchslo.test/crowd

go 1.26.0
